"""Where MLflow keeps the runs of one recipe: a SQLite file beside the data, or a server.

Only a client is used, no global active run: several assets may record at the same time. `import mlflow` costs three
seconds, so it happens when something is recorded and not before.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from parler_assets.tracking import database

SETTINGS = {
    # MLflow asks a server that is gone seven times, over minutes: a training's page would stand still meanwhile.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# A pooled connection would go on writing into a file that was put aside or deleted.
SQLITE_SETTINGS = {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool"}


class TrackingError(RuntimeError):
    """MLflow did not take a record; the message says where and what to do. What was computed is kept."""


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn whatever MLflow and its database raise into a `TrackingError`: the record may never end what it records."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        from parler_assets.storage import disk  # it brings numpy, which loading definitions does without

        number, said = disk.reason(error, database.file_of(uri)), str(error).splitlines()
        reason = "another process holds it locked" if "locked" in str(error) else (said or [type(error).__name__])[0]
        if number is not None:
            reason = "; ".join(disk.SAID[number])
        message = (
            f"MLflow ({uri}) could not be written: {reason[:300]}. Nothing that was computed is lost: "
            "materialize this asset again, and it is recorded then"
        )
        raise TrackingError(_without_password(message)) from None


class Store:
    """A tracking URI and the experiment of one recipe."""

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        self.uri, self.name, self.folder = uri, experiment, folder
        self.file = database.file_of(uri)
        for name, value in (SETTINGS | (SQLITE_SETTINGS if self.file else {})).items():
            os.environ.setdefault(name, value)  # before MLflow is imported

    def prepare(self) -> None:
        """See to it that a database file is there and sound, before another program opens it."""
        if self.file:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.locked():
                database.ensure(self.file)

    @cached_property
    def client(self):
        """A client whose database exists. Two processes creating one SQLite file at once break it: hence the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked():
            if self.file:
                database.ensure(self.file)
            try:
                if self.file and self.file.parent == self.folder:
                    database.move_artifacts(self.file)
                return self._connected()
            except Exception as error:
                if not self.file or not database.is_half_made(error):
                    raise
                database.put_aside(self.file)
                database.ensure(self.file)
                return self._connected()

    def _connected(self):
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        client.get_experiment_by_name(self.name)
        if self.file:
            database.remove_misplaced(self.uri)
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
            return client.create_experiment(self.name, database.artifacts_of(self.file) if self.file else None)

    def has(self, run: str | None) -> bool:
        """Whether a run is still there: a store that was deleted or put aside has lost it, and it is recorded again.

        Raises:
            TrackingError: the store cannot be asked.
        """
        if not run:
            return False
        with explained(self.uri):
            from mlflow.exceptions import MlflowException

            client = self.client
            try:
                return client.get_run(run).info.lifecycle_stage == "active"
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return False

    def add_metrics(self, run: str | None, values: Mapping[str, float]) -> None:
        """Values on a run that exists, such as the scores of a training's checkpoint: nothing where it is gone.

        Raises:
            TrackingError: the store did not take them.
        """
        if not run or not self.has(run):
            return
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        with explained(self.uri):
            self.client.log_batch(run, [Metric(name, value, now, 0) for name, value in values.items()])

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


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
