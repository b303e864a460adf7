"""The MLflow record of a sweep: one run for the sweep, a nested one for every variant, and the registry's candidate.

MLflow may be gone at any moment of a sweep that takes hours: what it did not take is sent at the end, from the
trainings' own logs, or when the sweep is materialized again; the asset's page says that it is missing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

import dagster as dg

from parler_assets.recipe import Training, digest
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.run import Run, TrackingError, explained

if TYPE_CHECKING:
    from parler_assets.resources.tracking import Tracking
    from parler_assets.resources.workspace import Workspace
    from parler_assets.tts.experiments.sweep import Sweep, Variant


class SweepRecord:
    """What a sweep tells MLflow while it runs. Leaving the block ends its runs, as failed where it raises."""

    def __init__(
        self, context: dg.AssetExecutionContext, workspace: Workspace, tracking: Tracking, settings: Training
    ) -> None:
        self.context, self.workspace, self.tracking, self.settings = context, workspace, tracking, settings
        self.versions = versions(workspace)
        self.run = tracking.run(context, workspace, work=digest(settings, *self.versions))
        self.run.describe = partial(self._describe, settings=settings)
        self._open: dict[str, Logbook] = {}
        self._settled: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        status = "FAILED" if kind else "FINISHED"
        for run in [*(book.run for book in self._open.values()), self.run]:
            run.end(status)

    def add(self, name: str, line: dict) -> None:
        """A line of a variant's metrics.

        Raises:
            TrackingError: MLflow did not take it; `finished` or `compared` sends it again.
        """
        self._logbook(name).add(line)

    def finished(self, variant: Variant) -> None:
        """A variant that was just trained and scored, or failed; it does not matter here that MLflow is gone."""
        if variant.result and variant.result.reused:
            return  # it has a record, most likely: `compared` looks
        try:
            self._settle(variant)
        except TrackingError as error:
            self.context.log.warning(str(error))

    def compared(self, sweep: Sweep, name: str) -> dict[str, Any]:
        """Record the comparison and name the candidate in the registry, as model `name`; metadata for the page."""
        folder, tracking = self.workspace.sweep, self.tracking
        known = self.workspace.remembered(folder)
        try:
            if known.get("digest") != sweep.digest or not known.get("mlflow_run"):
                known = {"digest": sweep.digest} | self._record(sweep, name)
            self.workspace.remember(folder, **known)
            found = {"mlflow": tracking.link(known["mlflow_run"], self.workspace)}
            return found | {"registered": f"{name}, version {known['version']}, alias candidate"}
        except TrackingError as error:
            self.context.log.warning(str(error))
            return {"mlflow": str(error)}

    def _record(self, sweep: Sweep, name: str) -> dict[str, str]:
        from parler_assets.tts.experiments.sweep import RECORD, TABLE

        for variant in sweep.variants:
            if variant.name not in self._settled:
                self._settle(variant)
        best = sweep.candidate(self.settings.candidate_by)
        assert best.result
        Logbook(self.run).settle([{"step": 0, **sweep.numbers(best)}])
        for file in (TABLE, RECORD):
            self.run.artifact(self.workspace.sweep / file)
        store = self.run.store
        tags = {"data_version": best.result.digest, "variant": best.name, "dagster.run_id": self.context.run_id}
        with explained(store.uri):
            numbers = {key: f"{value:.4f}" for key, value in sweep.numbers(best).items()}
            version = store.register(name, best.result.checkpoint, self._settled[best.name], tags | numbers)
        return {"mlflow_run": self.run.id, "version": version, "candidate": best.name}

    def _settle(self, variant: Variant) -> None:
        """The variant's run with its whole log and scores, nested under this sweep's."""
        folder, result = self.workspace.sweep / variant.name, variant.result
        if result is None:
            run = self._logbook(variant.name).run
            run.note("failure", (variant.failure or "")[:4000])
            self._open.pop(variant.name).run.end("FAILED")
            self._settled[variant.name] = run.id
            return
        known = self.workspace.remembered(folder)
        if result.reused and known.get("digest") == result.digest and known.get("mlflow_run"):
            self.run.adopt(known["mlflow_run"])
            self._settled[variant.name] = known["mlflow_run"]
            return
        scores = {"step": result.updates, **variant.scores, "held_out_loss": result.held_out_loss}
        book = self._logbook(variant.name)
        self._settled[variant.name] = book.settle([*result.metrics, scores])
        self._open.pop(variant.name).run.end("FINISHED")
        self.workspace.remember(folder, digest=result.digest, mlflow_run=book.run.id)

    def _logbook(self, name: str) -> Logbook:
        if name not in self._open:
            from parler_assets.tts.training.job import fingerprint_of

            chosen = self.settings.variant(name)
            work = fingerprint_of(chosen, *self.versions)
            run = self.tracking.run(self.context, self.workspace, parent=self.run.id, part=name, work=work)
            run.describe = partial(self._describe, settings=chosen)
            self._open[name] = Logbook(run)
        return self._open[name]

    def _describe(self, run: Run, settings: Training) -> None:
        run.params(settings.model_dump(exclude={"variants"}))
        run.input("training_set", self.workspace.training_set, self.versions[0], "train")
        run.input("base_checkpoint", self.workspace.base_path(), self.versions[1], "base")


def versions(workspace: Workspace) -> tuple[str, str]:
    """Digests of the training set and of the base checkpoint, as materialized."""
    from parler_assets.storage import read_manifest

    return read_manifest(workspace.training_set).digest, workspace.recall(workspace.base_checkpoint)["digest"]
