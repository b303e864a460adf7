"""Where the lanes join: the base checkpoint, the training set and the fine-tuned checkpoint."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.checks.training import training_checks
from parler_assets.pages.settings import settings_table
from parler_assets.pages.stage import stage_metadata
from parler_assets.pages.training import training_metadata
from parler_assets.recipe import TRAINING_SET_FIELDS, Corpus, PublishedDescriptions, Recipe, Training, digest
from parler_assets.recipe.places import content_of
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import on_gpu
from parler_assets.resources.settings import SettingsResource
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.sample import base_path
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.results import remember, remembered
from parler_assets.tracking.store import TrackingError

if TYPE_CHECKING:
    from parler_assets.tts.training.launch import TrainingResult

# Every observation is a row of the event log: at most one in so many seconds.
OBSERVE_EVERY = 3.0
OBSERVED = (
    "step",
    "epoch",
    "loss",
    "eval_loss",
    "learning_rate",
    "grad_norm",
    "frames_per_second",
    "mfu",
    "seconds_left",
)


def training_assets(recipe: Recipe) -> list:
    """The base checkpoint, and the assets and checks of the group `training`."""
    stages = [base_checkpoint(recipe), training_set(recipe), finetuned_checkpoint(recipe)]
    return [*stages, *training_checks(recipe)]


def base_checkpoint(recipe: Recipe) -> dg.AssetsDefinition:
    @dg.asset(
        group_name="base",
        kinds={"huggingface" if recipe.base.repo else "python", "pytorch"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(recipe.base)}",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30) if recipe.base.repo else None,
    )
    def base_checkpoint(workspace: Workspace) -> dg.MaterializeResult:
        """The Parler-TTS checkpoint that coding and fine-tuning start from, pinned to one commit.

        From the Hub, from a folder, or the small one shipped with the package. It brings the codec and both tokenizers.
        """
        from parler_assets.tts.base import fetch_base

        found = fetch_base(recipe.base, workspace.base_checkpoint, shipped=base_path())
        where = {"path": str(found.path), "digest": found.digest}
        remember(workspace.base_checkpoint, **where, repository=recipe.base.repo, revision=found.revision)
        metadata: dict[str, Any] = {
            "path": dg.MetadataValue.path(str(found.path)),
            "repository": recipe.base.repo or "none: a folder on this machine",
            "revision": found.revision or "none",
            "licence": found.licence,
        }
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(found.digest))

    return base_checkpoint


def training_set(recipe: Recipe) -> dg.AssetsDefinition:
    lanes = [[name, stage] for name in recipe.corpora for stage in ("llm_descriptions", "dac_codes")]
    shares = {name: (c.weight, c.held_out, _content(c.held_out_ids)) for name, c in recipe.corpora.items()}
    filters = recipe.training.model_dump(include=set(TRAINING_SET_FIELDS))

    @dg.asset(
        group_name="training",
        deps=[*lanes, "base_checkpoint"],
        kinds={"parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(filters, shares)}",
    )
    def training_set(workspace: Workspace, trainer: SettingsResource) -> dg.MaterializeResult:
        """All lanes joined by clip id, filtered by length, split into training and held-out clips, tokenised.

        No utterance of a speaker is on both sides. An unfit set is shown here with its problems; training refuses it.
        """
        from parler_assets.tts.data import Lane, build_training_set, mixture_markdown

        joined = [
            Lane(
                name,
                workspace.lane(name, "raw_dataset"),
                workspace.lane(name, "llm_descriptions"),
                workspace.lane(name, "dac_codes"),
                weight=corpus.weight,
                held_out=corpus.held_out,
                held_out_ids=corpus.held_out_ids,
                licence=licence(corpus),
                between=tuple(workspace.lane(name, stage) for stage in ("continuous_tags",) if corpus.annotated_here),
            )
            for name, corpus in recipe.corpora.items()
        ]
        result = build_training_set(
            joined, workspace.base_path(), workspace.training_set, trainer.settings(), rebuild=workspace.rebuild
        )
        metadata = stage_metadata(result, ["id", "corpus", "speaker", "style", "text", "description", "duration"])
        metadata |= settings_table(recipe, trainer.settings(), only=TRAINING_SET_FIELDS)
        metadata["mixture"] = dg.MetadataValue.md(mixture_markdown(result.manifest.facts["mixture"]))
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return training_set


def _content(held_out_ids: Path | None) -> str:
    return (held_out_ids and content_of(held_out_ids)) or str(held_out_ids)


def finetuned_checkpoint(recipe: Recipe) -> dg.AssetsDefinition:
    governing = recipe.training.model_dump(exclude={*TRAINING_SET_FIELDS, "variants", "candidate_by"})

    @dg.asset(
        group_name="training",
        deps=["training_set", "base_checkpoint"],
        kinds={"pytorch", "mlflow"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(governing)}",
        **on_gpu(),
    )
    def finetuned_checkpoint(
        context: dg.AssetExecutionContext,
        workspace: Workspace,
        trainer: SettingsResource,
        accelerator: Accelerator,
        tracking: Tracking,
    ) -> dg.MaterializeResult:
        """The base checkpoint fine-tuned on the training set, in processes of its own.

        Loss is drawn live on this page and in MLflow. A killed training resumes from its last checkpoint.
        """
        from parler_assets.tts.training.job import fingerprint_of
        from parler_assets.tts.training.launch import run_training

        settings, inputs, folder = trainer.settings(), workspace.training_inputs(), workspace.finetuned_checkpoint
        log = Logbook(tracking.run(context, workspace, work=fingerprint_of(settings, *inputs.digests)))
        described = partial(inputs.record, settings.model_dump(exclude={"variants", "candidate_by"}))
        with log.run.recording(described):
            with accelerator.acquire(cards_for(settings)) as device:
                result = run_training(
                    inputs.training_set,
                    inputs.base,
                    folder,
                    settings,
                    device=device,
                    on_metrics=live(context, log.add),
                    rebuild=workspace.rebuild,
                )
            recorded = flush_or_warn(context, log, result)
        remember_training(result, recorded)
        metadata = training_metadata(result) | {"mlflow": tracking.link(recorded, workspace)}
        metadata |= settings_table(recipe, settings, only=governing)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return finetuned_checkpoint


def cards_for(settings: Training) -> int | None:
    """How many GPUs a training takes: one a process; all of this machine where accelerate's own file counts them."""
    return None if os.environ.get("PARLER_ACCELERATE_CONFIG") else settings.processes


def flush_or_warn(context: dg.AssetExecutionContext, log: Logbook, result: "TrainingResult") -> str | None:
    """The MLflow run with all lines of the training's log: the one that it has, unless that was lost; else this one.

    None where MLflow is gone, which is no reason to fail: the next materialization records it.
    """
    known = remembered(result.folder)
    former = known.get("mlflow_run") if result.reused and known.get("digest") == result.digest else None
    try:
        return former if former and log.run.store.has(former) else log.flush(result.metrics)
    except TrackingError as error:
        context.log.warning(str(error))
        return former


def remember_training(result: "TrainingResult", run: str | None) -> None:
    """Where the checkpoint lies and in which MLflow run its training is, for the assets below it."""
    loss = None if result.held_out_loss is None else str(result.held_out_loss)
    where = {"checkpoint": str(result.checkpoint), "digest": result.digest, "held_out_loss": loss}
    remember(result.folder, **where, mlflow_run=run)


def live(
    context: dg.AssetExecutionContext, record: Callable[[dict], None], also: dict[str, Any] | None = None
) -> Callable[[dict], None]:
    """What training calls with every line of metrics: all go to MLflow, one every few seconds to the asset's page.

    `also` is shown with every observation.
    """
    shown_at, latest = float("-inf"), dict(also or {})

    def report(metrics: dict) -> None:
        nonlocal shown_at
        latest.update({key: metrics[key] for key in OBSERVED if key in metrics})
        if time.monotonic() - shown_at >= OBSERVE_EVERY or "eval_loss" in metrics:
            shown_at = time.monotonic()
            context.log_event(dg.AssetObservation(context.asset_key, metadata=dict(latest)))
        record(metrics)  # last: it may fail, and the page is to go on

    return report


def licence(corpus: Corpus) -> str | None:
    """The licences that a checkpoint trained on this corpus inherits."""
    stated = [corpus.source.licence]
    if isinstance(corpus.descriptions, PublishedDescriptions):
        stated.append(corpus.descriptions.licence)
    return ", ".join(dict.fromkeys(one for one in stated if one)) or None
