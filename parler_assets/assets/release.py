"""The manual end of the graph: publish the checkpoint. A recipe without a section `release` has no such asset."""

from typing import Any

import dagster as dg

from parler_assets.recipe import HubSource, Recipe, digest
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.store import Store, TrackingError, explained


def release_assets(recipe: Recipe) -> list:
    """The asset `release`, in no job and no schedule: a person decides."""
    return [release(recipe)] if recipe.release else []


def release(recipe: Recipe) -> dg.AssetsDefinition:
    wanted = recipe.release
    assert wanted is not None

    @dg.asset(
        group_name="release",
        deps=["finetuned_checkpoint", "scorecard"],
        kinds={"huggingface", "mlflow"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(wanted)}",
    )
    def release(context: dg.AssetExecutionContext, workspace: Workspace, tracking: Tracking) -> dg.MaterializeResult:
        """The checkpoint on the Hub and in MLflow's registry, with cards that say where it came from and how it does.

        Refused where a licence of a corpus or of the base, a threshold of the recipe or a problem of the training set
        forbids it. The token is read from HF_TOKEN in the environment.
        """
        from parler_assets.tts.release.hub import HubError
        from parler_assets.tts.release.publish import ReleaseRefused, publish

        written = [name for name, corpus in recipe.corpora.items() if corpus.annotated_here]
        bins = {name: workspace.lane(name, "text_bins") for name in written}
        texts = {name: workspace.lane(name, "llm_descriptions") for name in written}
        try:
            published = publish(recipe, lineage(recipe, workspace, bins), bins, texts, workspace.shared("release"))
        except (ReleaseRefused, HubError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        metadata: dict[str, Any] = {
            "repository": published.model,
            "commit": published.commit,
            "annotations": published.data or "not published",
            "card": dg.MetadataValue.md(published.card.split("---", 2)[2]),
        }
        if wanted.registered_as:
            store, tags = tracking.store(workspace), {"hub_commit": published.commit, "dagster.run_id": context.run_id}
            metadata["registered_version"] = registered(context, store, wanted.registered_as, workspace, tags)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(published.commit))

    return release


def registered(
    context: dg.AssetExecutionContext, store: Store, name: str, workspace: Workspace, tags: dict[str, str]
) -> str:
    """The version in MLflow's registry, or why there is none: what was published stays published."""
    trained = workspace.recall(workspace.finetuned_checkpoint)
    try:
        with explained(store.uri):
            run = trained.get("mlflow_run")
            known = run if store.has(run) else None
            tags = {"data_version": trained["digest"], **tags}
            return store.register(name, workspace.finetuned_path(), known, tags)
    except TrackingError as error:
        context.log.warning(str(error))
        return str(error)


def lineage(recipe: Recipe, workspace: Workspace, bins: dict):
    """What the finished stages say about where this checkpoint came from."""
    from parler_assets.storage import read_manifest
    from parler_assets.tts.release.publish import Lineage, recipe_digest

    stages = {"training_set": workspace.training_set, "evaluation_samples": workspace.evaluation_samples}
    stages |= {f"{name}/raw_dataset": workspace.lane(name, "raw_dataset") for name in recipe.corpora}
    stages |= {f"{name}/text_bins": folder for name, folder in bins.items()}
    versions = {name: read_manifest(folder).digest for name, folder in sorted(stages.items())}
    base = workspace.recall(workspace.base_checkpoint)
    at = f" at `{base['revision']}`" if base.get("revision") else ""
    return Lineage(
        checkpoint=workspace.finetuned_path(),
        training_set=workspace.training_set,
        scorecard=workspace.scorecard,
        bins=bins,
        versions=versions | {"finetuned_checkpoint": workspace.recall(workspace.finetuned_checkpoint)["digest"]},
        revisions=built_from(recipe, workspace),
        base=f"`{recipe.base.repo}`{at}" if recipe.base.repo else f"a checkpoint with digest `{base['digest']}`",
        recipe_digest=recipe_digest(recipe),
    )


def built_from(recipe: Recipe, workspace: Workspace) -> dict[str, str]:
    """Corpus to the commits that its clips and descriptions in the training set were built from."""
    from parler_assets.hub.revisions import is_commit

    found = workspace.commits()
    pinned = {
        name: {corpus.source.repo: corpus.source.revision}
        for name, corpus in recipe.corpora.items()
        if isinstance(corpus.source, HubSource) and is_commit(corpus.source.revision)
    }
    stated = {name: pinned.get(name, {}) | found.get(name, {}) for name in recipe.corpora}
    return {name: _listed(by) for name, by in stated.items() if by}


def _listed(commits: dict[str, str]) -> str:
    """One commit as it is, several with their repositories."""
    if len(commits) == 1:
        return next(iter(commits.values()))
    return ", ".join(f"`{repo}` {commit}" for repo, commit in commits.items())
