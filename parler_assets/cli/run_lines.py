"""What a run's events say on the terminal: steps as they start and end, checks that found something, a total."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from parler_assets.progress.message import Message, duration

CHECKS = "check_"  # how the steps of asset checks begin


class RunLines:
    """One run in lines.

    Attributes:
        failed: whether a step failed.
        output: where what its steps printed was kept, if it was.
    """

    def __init__(self, recipe: str) -> None:
        self.recipe = recipe
        self.failed = False
        self.output: Path | None = None
        self._began = time.monotonic()
        self._details: dict[str, list[str]] = {}
        self._assets = self._reused = self._warnings = 0

    def named(self, message: Message) -> Message:
        """A task by the name of its asset: those that all corpora share lie in the recipe's own folder."""
        return dataclasses.replace(message, name=message.name.removeprefix(f"{self.recipe}/"))

    def of(self, entry: dg.EventLogEntry) -> Iterator[str]:
        """The lines of one event."""
        event, step = entry.dagster_event, (entry.step_key or "").replace("__", "/")
        if event is None:
            if int(entry.level) >= logging.WARNING:
                yield f"  ! {step}: {entry.user_message}"
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            yield from self._check(event)
        elif event.is_step_materialization and event.asset_key:
            self._note(step, event)
        elif not step.startswith(CHECKS):
            yield from self._step(step, event)

    def _step(self, step: str, event: dg.DagsterEvent) -> Iterator[str]:
        kind = event.event_type_value
        if kind == "STEP_START":
            yield f"  · {step} starts"
        elif kind == "STEP_SUCCESS":
            took = duration(event.step_success_data.duration_ms / 1000)
            yield f"  ✓ {step:<32} {', '.join([*self._details.pop(step, []), took])}"
        elif kind == "STEP_UP_FOR_RETRY":
            yield f"  ! {step} failed and is tried again"
        elif kind == "STEP_FAILURE":
            self.failed = True
            yield f"  ✗ {step} failed"
        elif kind == "STEP_SKIPPED":
            yield f"  - {step} skipped: what it needs is not there"

    def _note(self, step: str, event: dg.DagsterEvent) -> None:
        metadata = event.step_materialization_data.materialization.metadata
        rows, reused = metadata.get("dagster/row_count"), metadata.get("reused")
        self._assets += 1
        self._reused += bool(reused and reused.value)
        details = [f"{rows.value} rows"] if rows else []
        self._details[step] = [*details, *(["reused"] if reused and reused.value else [])]

    def _check(self, event: dg.DagsterEvent) -> Iterator[str]:
        found = event.asset_check_evaluation_data
        if not found.passed:
            self._warnings += 1
            yield f"  ! {found.asset_key.to_user_string()}: check {found.check_name}: {found.description}"

    def total(self) -> str:
        """What was done, in how long."""
        parts = [counted(self._assets, "asset")]
        parts += [f"{self._reused} of them reused"] if self._reused else []
        parts += [f"{counted(self._warnings, 'check')} found something"] if self._warnings else []
        return ", ".join([*parts, duration(time.monotonic() - self._began)])


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
