"""A sweep over the recipe's `training.variants`: one asset, one row of its table for every variant."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.assets.evaluation import written_lanes
from parler_assets.assets.training import cards_for, live
from parler_assets.checks.training import sweep_checks
from parler_assets.pages.settings import settings_table
from parler_assets.pages.training import sweep_metadata
from parler_assets.recipe import TRAINING_SET_FIELDS, Recipe, Training, digest
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import on_gpu
from parler_assets.resources.settings import SettingsResource
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.store import TrackingError
from parler_assets.tracking.sweep import SweepRecord

if TYPE_CHECKING:
    from parler_assets.tts.experiments.sweep import Sweep


def sweep_assets(recipe: Recipe) -> list:
    """The asset `sweep` and its check; nothing where the recipe names no variants."""
    return [sweep(recipe), *sweep_checks(recipe)] if recipe.training.variants else []


def sweep(recipe: Recipe) -> dg.AssetsDefinition:
    training = recipe.training.model_dump(exclude=set(TRAINING_SET_FIELDS))

    @dg.asset(
        group_name="sweep",
        deps=["training_set", "base_checkpoint"],
        kinds={"pytorch", "mlflow"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(training, recipe.evaluation, recipe.annotation)}",
        **on_gpu(),
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

        Finished variants are reused and a killed sweep resumes at the variant it was in. The best one is MLflow's
        `candidate`; one that cannot be trained is a row of the table.
        """
        from parler_assets.speech.devices import first
        from parler_assets.tts.experiments.evaluate import variant_scores
        from parler_assets.tts.experiments.sweep import run_sweep

        settings, built = trainer.settings(), built_stages(recipe, workspace)
        chosen = as_set(recipe, evaluation=evaluator, describing=writer, annotation=tagger)
        with sweep_record(context, workspace, tracking, settings) as record:
            with accelerator.acquire(cards_for(settings)) as device:
                result = run_sweep(
                    built.training_set,
                    built.base,
                    workspace.sweep,
                    settings,
                    device=device,
                    on_metrics=lines(context, list(settings.variants), record),
                    score=lambda name, done: variant_scores(name, done, built, workspace.sweep, chosen, first(device)),
                    on_variant=record.finished,
                    rebuild=workspace.rebuild,
                )
            recorded = recorded_candidate(record, result, registered_as(recipe), tracking, workspace)
        metadata = sweep_metadata(result, settings.candidate_by) | recorded
        metadata |= settings_table(recipe, settings, chosen.evaluation, chosen.describing, chosen.annotation)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return sweep


def as_set(recipe: Recipe, **sections: SettingsResource) -> Recipe:
    """The recipe with this run's values of some of its sections."""
    return recipe.model_copy(update={name: section.settings() for name, section in sections.items()})


def sweep_record(
    context: dg.AssetExecutionContext, workspace: Workspace, tracking: Tracking, settings: Training
) -> SweepRecord:
    """What this materialization tells MLflow."""
    runs = partial(tracking.run, context, workspace)
    return SweepRecord(runs, workspace.sweep, settings, workspace.training_inputs(), context.log.warning)


def recorded_candidate(
    record: SweepRecord, result: "Sweep", name: str, tracking: Tracking, workspace: Workspace
) -> dict[str, Any]:
    """Metadata: the sweep's run and the candidate's version in the registry, or why they are missing."""
    try:
        run, version = record.compared(result, name)
    except TrackingError as error:
        record.warn(str(error))
        return {"mlflow": str(error)}
    return {"mlflow": tracking.link(run, workspace), "registered": f"{name}, version {version}, alias candidate"}


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
