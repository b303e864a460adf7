"""The MLflow record of a sweep: one run for the sweep, a nested one for every variant, and the registry's candidate.

MLflow may be gone at any moment of a sweep that takes hours: what it did not take is sent at the end, from the
trainings' own logs, or when the sweep is materialized again; the asset's page says that it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from parler_assets.recipe import Training, digest
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.results import remember, remembered
from parler_assets.tracking.run import Run, TrainingInputs
from parler_assets.tracking.store import TrackingError, explained

if TYPE_CHECKING:
    from parler_assets.tts.experiments.sweep import Sweep, Variant


class Runs(Protocol):
    """Gives the run of this materialization, or of a part of it."""

    def __call__(self, *, work: str, parent: str | None = None, part: str | None = None) -> Run: ...


class Candidate(NamedTuple):
    """Where a finished sweep was recorded, and as which version of the model its best variant is registered."""

    run: str
    version: str


class SweepRecord:
    """What a sweep tells MLflow while it runs. Leaving the block ends its runs, as failed where it raises.

    Args:
        runs: makes the sweep's run and those of its variants.
        folder: where the sweep lies.
        warn: is told what MLflow did not take.
    """

    def __init__(
        self, runs: Runs, folder: Path, settings: Training, inputs: TrainingInputs, warn: Callable[[str], None]
    ) -> None:
        self.runs, self.folder, self.settings, self.inputs, self.warn = runs, folder, settings, inputs, warn
        self.run = runs(work=digest(settings, *inputs.digests))
        self.run.describe = self._describing(settings)
        self._open: dict[str, Logbook] = {}
        self._flushed: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
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
            self._flush(variant)
        except TrackingError as error:
            self.warn(str(error))

    def compared(self, sweep: Sweep, name: str) -> Candidate:
        """Record the comparison and name the candidate in the registry, as model `name`.

        Raises:
            TrackingError: MLflow did not take it; it is recorded when the sweep is materialized again.
        """
        known = remembered(self.folder)
        if known.get("digest") != sweep.digest or not self.run.store.has(known.get("mlflow_run")):
            known = {"digest": sweep.digest} | self._record(sweep, name)
        remember(self.folder, **known)
        return Candidate(known["mlflow_run"], known["version"])

    def _record(self, sweep: Sweep, name: str) -> dict[str, str]:
        from parler_assets.tts.experiments.sweep import RECORD, TABLE

        for variant in sweep.variants:
            if variant.name not in self._flushed:
                self._flush(variant)
        best = sweep.candidate(self.settings.candidate_by)
        Logbook(self.run).flush([{"step": 0, **sweep.numbers(best)}])
        for file in (TABLE, RECORD):
            self.run.artifact(self.folder / file)
        return {"mlflow_run": self.run.id, "version": self._registered(sweep, best, name), "candidate": best.name}

    def _registered(self, sweep: Sweep, best: Variant, name: str) -> str:
        assert best.result
        store, run = self.run.store, self.run.tags.get("dagster.run_id", "")
        tags = {"data_version": best.result.digest, "variant": best.name, "dagster.run_id": run}
        numbers = {key: f"{value:.4f}" for key, value in sweep.numbers(best).items()}
        with explained(store.uri):
            return store.register(name, best.result.checkpoint, self._flushed[best.name], tags | numbers)

    def _flush(self, variant: Variant) -> None:
        """The variant's run with its whole log and scores, nested under this sweep's."""
        folder, result = self.folder / variant.name, variant.result
        if result is None:
            self._flush_failure(variant)
            return
        known = remembered(folder)
        run = known.get("mlflow_run")
        if run and result.reused and known.get("digest") == result.digest and self.run.store.has(run):
            self.run.adopt(run)
            self._flushed[variant.name] = run
            return
        scores = {"step": result.updates, **variant.scores, "held_out_loss": result.held_out_loss}
        book = self._logbook(variant.name)
        self._flushed[variant.name] = book.flush([*result.metrics, scores])
        self._open.pop(variant.name).run.end("FINISHED")
        remember(folder, digest=result.digest, mlflow_run=book.run.id)

    def _flush_failure(self, variant: Variant) -> None:
        run = self._logbook(variant.name).run
        run.note("failure", (variant.failure or "")[:4000])
        self._open.pop(variant.name).run.end("FAILED")
        self._flushed[variant.name] = run.id

    def _logbook(self, name: str) -> Logbook:
        if name not in self._open:
            from parler_assets.tts.training.job import fingerprint_of

            chosen = self.settings.variant(name)
            work = fingerprint_of(chosen, *self.inputs.digests)
            run = self.runs(work=work, parent=self.run.id, part=name)
            run.describe = self._describing(chosen)
            self._open[name] = Logbook(run)
        return self._open[name]

    def _describing(self, settings: Training) -> Callable[[Run], None]:
        return partial(self.inputs.record, settings.model_dump(exclude={"variants"}))
