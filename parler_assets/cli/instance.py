"""The Dagster instance of this project: where it lives, that it can be used, and runs whose process died."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import yaml
from filelock import FileLock, Timeout
from sqlalchemy import make_url
from sqlalchemy.exc import DatabaseError

from parler_assets.cli.killed import PROCESS_TAG, how_it_ended
from parler_assets.resources.workspace import INSTANCE_SETTINGS, PROJECT
from parler_assets.storage import disk
from parler_assets.tracking.database import sound

logger = logging.getLogger(__name__)

HOST_TAG = "parler/host"


class HomeError(RuntimeError):
    """DAGSTER_HOME cannot be used; the message names file and remedy. Nothing that was computed lies there."""


def home_folder() -> Path:
    """DAGSTER_HOME, absolute: one set by the user is respected, otherwise `dagster_home` of this project."""
    return Path(os.environ.get("DAGSTER_HOME") or PROJECT / "dagster_home").expanduser().resolve()


def ensure_dagster_home() -> Path:
    """Make DAGSTER_HOME absolute and existing, with databases that are whole.

    Where the user set none it is also written to `.env`, so that plain `dagster dev` finds it: Dagster refuses a
    relative one.

    Raises:
        HomeError: it cannot be written, or holds what Dagster cannot read.
    """
    chosen, home = os.environ.get("DAGSTER_HOME"), home_folder()
    if make_url(f"sqlite:///{home}").database != str(home):  # Dagster puts the path into a URL as it is
        raise HomeError(f"DAGSTER_HOME {home}: Dagster cannot use a path with `?` or `%`: set it to another folder")
    os.environ["DAGSTER_HOME"] = str(home)
    with explained(home):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".parler.lock", timeout=120):  # processes that create one database at once spoil it
            wanted = home / "dagster.yaml"
            if not (wanted.exists() and wanted.stat().st_size):
                shutil.copyfile(INSTANCE_SETTINGS, wanted)
            _create_databases(home)
    if not chosen:
        with suppress(OSError):
            _write_env_file(home)
    return home


def _create_databases(home: Path) -> None:
    """Make Dagster's SQLite files beside and move them into place: a kill in between leaves nothing half made."""
    settings = home / "dagster.yaml"
    if "storage" in _settings(home) or (home / "history").exists():
        return
    with tempfile.TemporaryDirectory(dir=home, prefix=".new-") as name:
        new = Path(name)
        if settings.is_file():
            shutil.copyfile(settings, new / settings.name)
        with instance_in(home, new) as instance:
            instance.get_runs(limit=1)
        for part in ("schedules", "history"):  # the one that is looked for last
            if (new / part).exists() and not (home / part).exists():
                (new / part).replace(home / part)


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turn what the file system and SQLite raise about DAGSTER_HOME into a sentence."""
    try:
        yield
    except (OSError, Timeout) as error:
        if not _concerns(error, home):
            raise
        known = disk.SAID.get(getattr(error, "errno", None) or 0)
        remedy = known[1] if known else "choose another folder, or change its owner"
        raise HomeError(f"DAGSTER_HOME {home} cannot be written ({error}): {remedy}") from None
    except (sqlite3.DatabaseError, DatabaseError) as error:
        raise HomeError(_database_remedy(home, error)) from None


def instance_in(home: Path, new: Path | None = None) -> dg.DagsterInstance:
    """Dagster's instance in a home, or in the folder where a new one is made for it.

    Raises:
        HomeError: Dagster cannot use its settings, for which it has many kinds of errors.
    """
    try:
        return dg.DagsterInstance.from_config(str(new or home))
    except (OSError, sqlite3.DatabaseError, DatabaseError):
        raise
    except Exception as error:
        found = error.errors[0].message if isinstance(error, dg.DagsterInvalidConfigError) else str(error)
        raise HomeError(_settings_remedy(home, found.partition(" Expected:")[0])) from None


def _settings(home: Path) -> dict:
    """What `dagster.yaml` sets, empty where there is none.

    Raises:
        HomeError: it is no YAML, or holds no settings.
    """
    file = home / "dagster.yaml"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HomeError(_settings_remedy(home, " ".join(str(error).split()))) from None
    if not isinstance(found, dict | None):
        raise HomeError(_settings_remedy(home, "it holds no settings"))
    return found or {}


def _settings_remedy(home: Path, reason: str) -> str:
    file = home / "dagster.yaml"
    return (
        f"{file}: Dagster cannot use these settings ({reason}): correct them, or mv {file} {file}.damaged: "
        "the shipped ones are written again then, and run history is kept"
    )


def _concerns(error: OSError | Timeout, home: Path) -> bool:
    """Whether an error is about a file of DAGSTER_HOME: those of a step speak of other folders."""
    name = getattr(error, "filename", None) or getattr(error, "lock_file", None)
    return name is None or Path(str(name)).is_relative_to(home) or home.is_relative_to(str(name))


def _database_remedy(home: Path, error: Exception) -> str:
    number, reason = disk.reason(error, home), str(error).splitlines()[0]
    if number is not None:
        return f"DAGSTER_HOME {home} could not be written: {'; '.join(disk.SAID[number])}"
    damaged = [file for file in home.glob("*/**/*.db") if not sound(file)]
    if not damaged:
        return f"Dagster cannot use its databases in {home}: {reason}"
    moves = " and ".join(f"mv {file} {file}.damaged" for file in damaged)
    kept = "run history begins again, what is computed is kept"
    return f"{', '.join(map(str, damaged))}: damaged ({reason}); {moves}: {kept}"


def _write_env_file(home: Path) -> None:
    file = PROJECT / ".env"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    kept = [line for line in lines if not line.startswith("DAGSTER_HOME=")]
    file.write_text("\n".join([*kept, f"DAGSTER_HOME={home}", ""]), encoding="utf-8")


def dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of `parler-assets run` on this machine whose process died without a word."""
    mine = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    return [run for run in instance.get_runs(mine) if not _alive(run.tags.get(PROCESS_TAG, ""))]


def free_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the dead runs and give their slots back.

    Dagster's own monitoring looks only at runs started from the UI: without this a killed run keeps the GPU slot.
    """
    dead = dead_runs(instance)
    for run in dead:
        logger.warning("%s", how_it_ended(instance, run))
        instance.report_run_failed(run, "its process is gone; finished shards and checkpoints are kept and used again")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def process_tags() -> dict[str, str]:
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: _identity(os.getpid()) or ""}


def _alive(identity: str) -> bool:
    return bool(identity) and _identity(int(identity.split("-")[0])) == identity


def _identity(pid: int) -> str | None:
    """Process id and start time: a pid alone may by now be another process. None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return f"{pid}-{fields[19]}" if fields[0] != "Z" else None
