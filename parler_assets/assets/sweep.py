"""A sweep over the recipe's `training.variants`: one asset, one row of its table for every variant."""

from collections.abc import Callable

import dagster as dg

from parler_assets.assets.evaluation import written_lanes
from parler_assets.assets.training import live
from parler_assets.checks.check import sweep_checks
from parler_assets.pages.training import sweep_metadata
from parler_assets.recipe import SET_SETTINGS, Recipe, digest
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import gpu_tags
from parler_assets.resources.settings import SettingsResource
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.sweep import SweepRecord

OWNERS = ["team:speech"]


def sweep_assets(recipe: Recipe) -> list:
    """The asset `sweep` and its check; nothing where the recipe names no variants."""
    return [sweep(recipe), *sweep_checks()] if recipe.training.variants else []


def sweep(recipe: Recipe) -> dg.AssetsDefinition:
    training = recipe.training.model_dump(exclude=set(SET_SETTINGS))

    @dg.asset(
        group_name="sweep",
        deps=["training_set", "base_checkpoint"],
        kinds={"pytorch", "mlflow"},
        owners=OWNERS,
        pool="gpu",
        op_tags=gpu_tags(),
        code_version=f"1.{digest(training, recipe.evaluation, recipe.annotation)}",
    )
    def sweep(
        context: dg.AssetExecutionContext,
        workspace: Workspace,
        trainer: SettingsResource,
        evaluator: SettingsResource,
        writer: SettingsResource,
        tagger: SettingsResource,
        accelerator: Accelerator,
        tracking: Tracking,
    ) -> dg.MaterializeResult:
        """Every variant of the recipe's training: trained, scored beside the base, and compared in one table.

        Finished variants are reused and a killed sweep goes on at the variant it was in. The best one is MLflow's
        `candidate`; one that cannot be trained is a row of the table.
        """
        from parler_assets.tts.experiments.evaluate import variant_scores
        from parler_assets.tts.experiments.sweep import run_sweep

        settings, folder, built = trainer.settings(), workspace.sweep, built_stages(recipe, workspace)
        sections = {"evaluation": evaluator, "describing": writer, "annotation": tagger}
        chosen = recipe.model_copy(update={name: section.settings() for name, section in sections.items()})
        with SweepRecord(context, workspace, tracking, settings) as record:
            with accelerator.taken(workspace, several=settings.processes > 1) as device:
                result = run_sweep(
                    built.training_set,
                    built.base,
                    folder,
                    settings,
                    device=device,
                    on_metrics=lines(context, list(settings.variants), record),
                    score=lambda name, trained: variant_scores(name, trained, built, folder, chosen, device),
                    on_variant=record.finished,
                    rebuild=workspace.rebuild,
                )
            recorded = record.compared(result, registered_as(recipe))
        metadata = sweep_metadata(result, settings.candidate_by) | recorded
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return sweep


def lines(context: dg.AssetExecutionContext, names: list[str], record: SweepRecord) -> Callable[[str, dict], None]:
    """What a sweep calls with every line of metrics: live on the page by the variant's name, all to its MLflow run."""

    def of(name: str) -> Callable[[dict], None]:
        return live(context, lambda line: record.add(name, line), {"variant": name})

    reports = {name: of(name) for name in names}
    return lambda name, line: reports[name](line)


def built_stages(recipe: Recipe, workspace: Workspace):
    """The finished stages that trainings and their evaluation read."""
    from parler_assets.tts.experiments.evaluate import StageOutputs

    raw = {name: workspace.lane(name, "raw_dataset") for name in recipe.corpora}
    bins = {name: workspace.lane(name, "text_bins") for name in written_lanes(recipe)}
    return StageOutputs(workspace.training_set, workspace.base_path(), raw, bins, workspace.scorecard / "probes")


def registered_as(recipe: Recipe) -> str:
    """Name in MLflow's registry: that of the release, else the recipe's."""
    return (recipe.release and recipe.release.registered_as) or recipe.name
