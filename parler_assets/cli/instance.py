"""The Dagster instance of this project: where it lives, runs whose process died, and progress on the terminal."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import dagster as dg

from parler_assets.resources.workspace import PROJECT

HOST_TAG, PROCESS_TAG = "parler/host", "parler/process"


def settle() -> Path:
    """Make DAGSTER_HOME absolute and existing.

    One set by the user is respected. Otherwise it is `dagster_home` beside this package, and is written to `.env` there
    so that plain `dagster dev` finds it too: Dagster refuses a relative one. A folder of that name where the command is
    given is not taken: its `dagster.yaml` could name any class to be loaded.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen or PROJECT / "dagster_home").expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    shipped, wanted = PROJECT / "dagster_home" / "dagster.yaml", home / "dagster.yaml"
    if not wanted.exists() and shipped.is_file():
        wanted.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    if not chosen:
        _write_env_file(home)
    return home


def _write_env_file(home: Path) -> None:
    file = PROJECT / ".env"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    kept = [line for line in lines if not line.startswith("DAGSTER_HOME=")]
    file.write_text("\n".join([*kept, f"DAGSTER_HOME={home}", ""]), encoding="utf-8")


def free_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End runs of `parler-assets run` whose process died without a word, and give their slots back.

    Dagster's own monitoring looks only at runs started from the UI: without this a killed run keeps the GPU slot.
    """
    mine = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    dead = [run for run in instance.get_runs(mine) if not _alive(run.tags.get(PROCESS_TAG, ""))]
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


class Progress(logging.Handler):
    """Prints a line for each step that starts, each asset that is there, and each check that found something."""

    def emit(self, record: logging.LogRecord) -> None:
        event = (getattr(record, "dagster_meta", None) or {}).get("dagster_event")
        line = _line(event) if event else None
        if line:
            from tqdm import tqdm

            tqdm.write(line)


def _line(event: dg.DagsterEvent) -> str | None:
    if event.is_step_materialization and event.asset_key:
        metadata = event.step_materialization_data.materialization.metadata
        rows = metadata.get("dagster/row_count")
        details = [f"{rows.value} rows"] if rows else []
        reused = metadata.get("reused")
        details += ["reused"] if reused and reused.value else []
        return f"  ✓ {event.asset_key.to_user_string():<32} {', '.join(details)}"
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        found = event.asset_check_evaluation_data
        if not found.passed:
            return f"  ! {found.asset_key.to_user_string()}: check {found.check_name}: {found.description}"
    return None


@dg.logger(None, description="One line per asset")
def progress_logger(_context) -> logging.Logger:
    logger = logging.getLogger("parler_assets.progress")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [Progress()]
    return logger
