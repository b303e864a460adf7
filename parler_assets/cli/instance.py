"""The Dagster instance of this project: where it lives, that it can be used, and runs whose process died."""

from __future__ import annotations

import errno
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
from sqlalchemy.exc import DatabaseError

from parler_assets.resources.workspace import PROJECT
from parler_assets.tracking.database import sound

HOST_TAG, PROCESS_TAG = "parler/host", "parler/process"


class HomeError(RuntimeError):
    """DAGSTER_HOME cannot be used; the message names file and remedy. Nothing that was computed lies there."""


def home_folder() -> Path:
    """DAGSTER_HOME, absolute: one set by the user is respected, otherwise `dagster_home` beside this package."""
    return Path(os.environ.get("DAGSTER_HOME") or PROJECT / "dagster_home").expanduser().resolve()


def ensure_dagster_home() -> Path:
    """Make DAGSTER_HOME absolute and existing, with databases that are whole.

    Where the user set none it is also written to `.env`, so that plain `dagster dev` finds it: Dagster refuses a
    relative one.

    Raises:
        HomeError: it cannot be written, or holds what Dagster cannot read.
    """
    chosen, home = os.environ.get("DAGSTER_HOME"), home_folder()
    os.environ["DAGSTER_HOME"] = str(home)
    with explained(home):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".parler.lock", timeout=120):  # processes that create one database at once spoil it
            shipped, wanted = PROJECT / "dagster_home" / "dagster.yaml", home / "dagster.yaml"
            if not wanted.exists() and shipped.is_file():
                shutil.copyfile(shipped, wanted)
            _create_databases(home)
    if not chosen:
        with suppress(OSError):
            _write_env_file(home)
    return home


def _create_databases(home: Path) -> None:
    """Make Dagster's SQLite files beside and move them into place: a kill in between leaves nothing half made."""
    settings = home / "dagster.yaml"
    configured = yaml.safe_load(settings.read_text(encoding="utf-8")) if settings.is_file() else None
    if (home / "history").exists() or "storage" in (configured or {}):
        return
    with tempfile.TemporaryDirectory(dir=home, prefix=".new-") as name:
        new = Path(name)
        if settings.is_file():
            shutil.copyfile(settings, new / settings.name)
        with dg.DagsterInstance.from_config(str(new)) as instance:
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
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        remedy = "free some space" if full else "choose another folder, or change its owner"
        raise HomeError(f"DAGSTER_HOME {home} cannot be written ({error}): {remedy}") from None
    except (sqlite3.DatabaseError, DatabaseError) as error:
        raise HomeError(_database_remedy(home, str(error).splitlines()[0])) from None


def _concerns(error: OSError | Timeout, home: Path) -> bool:
    """Whether an error is about a file of DAGSTER_HOME: those of a step speak of other folders."""
    name = getattr(error, "filename", None) or getattr(error, "lock_file", None)
    return name is None or Path(str(name)).is_relative_to(home) or home.is_relative_to(str(name))


def _database_remedy(home: Path, reason: str) -> str:
    if "full" in reason:
        return (
            f"the disk that holds DAGSTER_HOME {home} is full: free some space and run again, what is computed is kept"
        )
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
