"""What the fine-tuned checkpoint says, how it sounds, and what it scores."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from parler_assets.checks.evaluation import evaluation_checks
from parler_assets.pages.columns import shares
from parler_assets.pages.scorecard import scorecard_metadata
from parler_assets.pages.settings import settings_table
from parler_assets.pages.stage import stage_metadata
from parler_assets.recipe import JUDGING, Describing, Evaluation, Recipe, digest
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import on_gpu
from parler_assets.resources.settings import SettingsResource
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.results import remember, remembered
from parler_assets.tracking.run import Run
from parler_assets.tracking.store import TrackingError

if TYPE_CHECKING:
    from parler_assets.tts.scoring.stage import Scores


def evaluation_assets(recipe: Recipe) -> list:
    """The assets and checks of the group `evaluation`."""
    return [evaluation_samples(recipe), scorecard(recipe), *evaluation_checks(recipe)]


def written_lanes(recipe: Recipe) -> list[str]:
    """The corpora that are annotated here."""
    return [name for name, corpus in recipe.corpora.items() if corpus.annotated_here]


def evaluation_samples(recipe: Recipe) -> dg.AssetsDefinition:
    obeyed = {*Describing.model_fields, *Evaluation.model_fields} - JUDGING

    @dg.asset(
        group_name="evaluation",
        deps=["finetuned_checkpoint"],
        kinds={"pytorch", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"2.{digest(recipe.evaluation.speaking)}",
        **on_gpu(),
    )
    def evaluation_samples(
        workspace: Workspace, evaluator: SettingsResource, writer: SettingsResource, accelerator: Accelerator
    ) -> dg.MaterializeResult:
        """Speech for every speaker x style x rate of the recipe, and for degrees, marked words and long texts.

        The checkpoint and its base speak texts they have not seen, with the same seeds, beside real clips and copies.
        """
        from parler_assets.tts.synthesis.samples import labels_of, synthesize_samples

        with accelerator.acquire() as device:
            result = synthesize_samples(
                workspace.finetuned_path(),
                workspace.base_path(),
                workspace.training_set,
                {name: workspace.lane(name, "raw_dataset") for name in recipe.corpora},
                workspace.evaluation_samples,
                evaluator.settings(),
                writer.settings(),
                device=device,
                rebuild=workspace.rebuild,
                labels=labels_of([workspace.lane(name, "text_bins") for name in written_lanes(recipe)]),
            )
        metadata = stage_metadata(result) | {"cells": shares(result.folder, ["speaker", "style"])}
        metadata |= settings_table(recipe, evaluator.settings(), writer.settings(), only=obeyed)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return evaluation_samples


def freshness(days: float | None) -> dg.FreshnessPolicy | None:
    """When scores count as overdue: never unless the recipe says so, for nobody rebuilds while schedules are off."""
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days)) if days else None


def scorecard(recipe: Recipe) -> dg.AssetsDefinition:
    @dg.asset(
        group_name="evaluation",
        deps=["evaluation_samples"],
        kinds={"python", "mlflow"},
        owners=recipe.operations.owners,
        code_version=f"2.{digest(recipe.evaluation, recipe.annotation, recipe.binning)}",
        freshness_policy=freshness(recipe.operations.fresh_days),
        **on_gpu(),
    )
    def scorecard(
        context: dg.AssetExecutionContext,
        workspace: Workspace,
        evaluator: SettingsResource,
        tagger: SettingsResource,
        accelerator: Accelerator,
        tracking: Tracking,
    ) -> dg.MaterializeResult:
        """How far generated speech is what its description asked for, beside real clips, copy-synthesis and chance.

        Every sample is tagged and binned by the corpus's own annotators. The listening report plays inside this UI.
        """
        from parler_assets.tts.report.report import write_report
        from parler_assets.tts.scoring.stage import score_samples

        trained = workspace.recall(workspace.finetuned_checkpoint)
        with accelerator.acquire() as device:
            scores = score_samples(
                workspace.evaluation_samples,
                workspace.training_set,
                [workspace.lane(name, "text_bins") for name in written_lanes(recipe)],
                workspace.base_path(),
                workspace.scorecard,
                tagger.settings(),
                evaluator.settings(),
                device=device,
                rebuild=workspace.rebuild,
                held_out_loss=float(trained["held_out_loss"]) if trained.get("held_out_loss") else None,
            )
        report = write_report(workspace.evaluation_samples, workspace.scorecard)
        run = tracking.run(context, workspace, parent=trained.get("mlflow_run"))
        recorded = record_or_warn(context, run, scores, report.html)
        metadata = scorecard_metadata(scores, report) | {"mlflow": tracking.link(recorded, workspace)}
        metadata |= settings_table(recipe, evaluator.settings(), tagger.settings())
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(scores.digest))

    return scorecard


def record_or_warn(context: dg.AssetExecutionContext, run: Run, scores: "Scores", report: Path) -> str | None:
    """The MLflow run with the scores and the report: the one that has them already, unless it was lost; else `run`.

    None where MLflow is gone, which is no reason to fail: the next materialization records them.
    """
    known = remembered(scores.folder)
    same = scores.reused and known.get("digest", scores.digest) == scores.digest  # older records have none
    recorded = known.get("mlflow_run") if same else None
    try:
        if not run.store.has(recorded):
            with run.recording():
                run.metrics(scores.own)
                for file in ("scorecard.json", "scorecard.md"):  # with intervals, and all other systems
                    run.artifact(scores.folder / file)
                run.artifact(report, "report")
            run.store.add_metrics(run.tags.get("mlflow.parentRunId"), scores.headlines)
            recorded = run.id
    except TrackingError as error:
        context.log.warning(str(error))
    remember(scores.folder, digest=scores.digest, mlflow_run=recorded)
    return recorded
