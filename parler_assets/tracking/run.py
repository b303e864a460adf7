"""One MLflow run per asset materialization, found again by its tags, safe for several processes."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from parler_assets.tracking.store import Store, TrackingError, explained

logger = logging.getLogger(__name__)

FIND_TAGS = ("dagster.root_run_id", "dagster.asset")
AT_ONCE = 1000  # metrics that MLflow takes in one call
WORK = "parler.work"  # what is being made: an interrupted run of the same work is continued


class Point(NamedTuple):
    """A value of one metric at one step, measured at a time in seconds since 1970."""

    key: str
    step: int
    value: float
    at: float


class Run:
    """One MLflow run, created or found again when the first thing is recorded."""

    def __init__(self, store: Store, name: str, tags: Mapping[str, str]) -> None:
        self.store, self.name, self.tags = store, name, dict(tags)
        self.describe: Callable[[Run], None] | None = None
        self._id: str | None = None

    @property
    def id(self) -> str:
        if self._id is None:
            with explained(self.store.uri):
                self._id = self._find_or_create()
        if self.describe:
            describe, self.describe = self.describe, None
            try:
                describe(self)
            except TrackingError:
                self.describe = describe
                raise
        return self._id

    def _find_or_create(self) -> str:
        client, experiment = self.store.client, self.store.experiment()
        wanted = " and ".join(f"tags.`{key}` = '{self.tags[key]}'" for key in FIND_TAGS)
        found = client.search_runs([experiment], wanted, max_results=1)
        if not found and WORK in self.tags:
            wanted = f"tags.`{WORK}` = '{self.tags[WORK]}' and attributes.status != 'FINISHED'"
            found = client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        if not found:
            return client.create_run(experiment, run_name=self.name, tags=self.tags).info.run_id
        run = found[0].info.run_id
        client.update_run(run, status="RUNNING")
        for key, value in self.tags.items():
            client.set_tag(run, key, value)
        return run

    @contextmanager
    def recording(self, describe: Callable[[Run], None] | None = None) -> Iterator[Run]:
        """Mark the run finished, or failed when the block raises; without anything recorded there is no run.

        `describe` is called once the run exists, to record settings and inputs before the first metric.
        """
        self.describe = describe
        try:
            yield self
        except BaseException:
            self.end("FAILED")
            raise
        self.end("FINISHED")

    def end(self, status: str) -> None:
        """Say how it ended. That MLflow is gone then must not hide why the block failed, or undo what it made."""
        if not self._id:
            return
        try:
            with explained(self.store.uri):
                self.store.client.set_terminated(self._id, status)
        except TrackingError as error:
            logger.warning("%s", error)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record settings. MLflow refuses a changed value: those of an earlier attempt are left as they are."""
        from mlflow.entities import Param

        with explained(self.store.uri):
            known = self.store.client.get_run(self.id).data.params
            new = [Param(key, str(value)) for key, value in flat(values).items() if key not in known]
            self.store.client.log_batch(self.id, params=new)

    def metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Record the numbers among `values` at `step`; what is not a finite number is left out."""
        self.points([Point(key, step, value, time.time()) for key, value in numbers(values).items()])

    def points(self, points: Sequence[Point]) -> None:
        """Record values of several metrics and steps at once; MLflow takes at most `AT_ONCE`."""
        from mlflow.entities import Metric

        run = self.id
        with explained(self.store.uri):
            self.store.client.log_batch(run, [Metric(p.key, p.value, int(1000 * p.at), p.step) for p in points])

    def recorded(self) -> set[tuple[str, int]]:
        """Metric and step of every value that MLflow has."""
        run = self.id
        with explained(self.store.uri):
            keys = self.store.client.get_run(run).data.metrics
            return {(key, point.step) for key in keys for point in self.store.client.get_metric_history(run, key)}

    def input(self, name: str, source: Path, version: str, context: str) -> None:
        """Record a data set that this run read; its digest is our data version."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, version, source_type="local", source=json.dumps({"uri": str(source)}))
        tag = InputTag("mlflow.data.context", context)
        with explained(self.store.uri):
            self.store.client.log_inputs(self.id, [DatasetInput(dataset, [tag])])

    def note(self, key: str, text: str) -> None:
        """Record a tag."""
        run = self.id
        with explained(self.store.uri):
            self.store.client.set_tag(run, key, text)

    def adopt(self, run: str) -> None:
        """Nest a run that exists under this one."""
        parent = self.id
        with explained(self.store.uri):
            self.store.client.set_tag(run, "mlflow.parentRunId", parent)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or a folder's files, into the run."""
        upload = self.store.client.log_artifacts if path.is_dir() else self.store.client.log_artifact
        with explained(self.store.uri):
            upload(self.id, str(path), folder)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; `None` is left out."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among `values`, by dotted key."""
    return {key: float(value) for key, value in flat(values).items() if _finite(value)}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class TrainingInputs:
    """What a training reads, with the digests that it had then."""

    training_set: Path
    base: Path
    set_digest: str
    base_digest: str
    commits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def digests(self) -> tuple[str, str]:
        return self.set_digest, self.base_digest

    def record(self, settings: Mapping[str, Any], run: Run) -> None:
        """A training's settings and data sets: what a run is described by before its first metric."""
        run.params({**settings, "commits": self.commits})
        run.input("training_set", self.training_set, self.set_digest, "train")
        run.input("base_checkpoint", self.base, self.base_digest, "base")
