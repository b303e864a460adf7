"""The MLflow record: one run per asset materialization, found again by tag, safe for several processes.

Only a client is used, no global active run: several assets may record at the same time. `import mlflow` costs three
seconds, so it happens when something is recorded and not before.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

FIND_TAGS = ("dagster.root_run_id", "dagster.asset")
AT_ONCE = 1000  # metrics that MLflow takes in one call
WORK = "parler.work"  # what is being made: an interrupted run of the same work is continued
# MLflow asks a server that is gone seven times, over minutes: a training's page would stand still meanwhile.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class TrackingError(RuntimeError):
    """MLflow did not take a record; the message says where and what to do. What was computed is kept."""


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into a `TrackingError`: a locked file, a server that is gone, a refused value."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, Timeout) as error:
        reason = "another process holds it locked" if "locked" in str(error) else str(error).splitlines()[0][:300]
        message = (
            f"MLflow ({uri}) could not be written: {reason}. Nothing that was computed is lost: "
            "materialize this asset again, and it is recorded then"
        )
        raise TrackingError(_without_password(message)) from None


class Store:
    """Where runs are kept: a tracking URI and the experiment of one recipe."""

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        self.uri, self.name, self.folder = uri, experiment, folder

    @cached_property
    def client(self):
        """A client whose database exists. Two processes creating one SQLite file at once break it: hence the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        with self.locked():
            from mlflow import MlflowClient

            client = MlflowClient(self.uri)
            client.get_experiment_by_name(self.name)
        return client

    def locked(self) -> FileLock:
        return FileLock(self.folder / ".mlflow.lock", timeout=300)

    def experiment(self) -> str:
        """Id of the recipe's experiment, created when missing. Artifacts of a local store lie beside the database."""
        client = self.client
        with self.locked():
            found = client.get_experiment_by_name(self.name)
            if found:
                return found.experiment_id
            local = self.uri.startswith("sqlite:")
            return client.create_experiment(self.name, str(self.folder / "mlflow_artifacts") if local else None)

    def register(self, name: str, checkpoint: Path, run: str | None, tags: Mapping[str, str]) -> str:
        """A version of a registered model, called `candidate` until a person moves that name on.

        `tags` name the checkpoint's `data_version`: one that is registered already gets no second version.
        """
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it is registered already
            self.client.create_registered_model(name)
        known = self.client.search_model_versions(f"name = '{name}'")
        same = [v.version for v in known if v.tags.get("data_version") == tags["data_version"]]
        if same:
            version = same[0]
            for key, value in tags.items():
                self.client.set_model_version_tag(name, version, key, value)
        else:
            version = self.client.create_model_version(name, str(checkpoint), run_id=run, tags=dict(tags)).version
        self.client.set_registered_model_alias(name, "candidate", version)
        return str(version)


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


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


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
