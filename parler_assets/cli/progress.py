"""A run's progress on the terminal."""

from __future__ import annotations

import logging

import dagster as dg


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
