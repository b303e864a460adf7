"""A training's own log, mirrored into MLflow: every metric of every step once, whatever happened in between.

The log on disk is the truth. MLflow may be gone for a while, and a training that resumes writes lines again: MLflow is
asked what it has, and only what it lacks is sent. A step that is measured again after a resume keeps its first record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from parler_assets.tracking.run import AT_ONCE, Point, Run, numbers
from parler_assets.tracking.store import TrackingError

PLACE = ("updates", "time")
RETRY = 30.0  # seconds until a server that did not answer is asked again


class Logbook:
    """The record of one training in one MLflow run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._recorded: set[tuple[str, int]] | None = None
        self._waiting: list[Point] = []
        self._not_before = float("-inf")

    def add(self, line: Mapping[str, Any]) -> None:
        """Send a line, and what could not be sent before it.

        Raises:
            TrackingError: MLflow did not take it; it is kept, and sent with a later line or by `flush`.
        """
        self._waiting += points_of(line)
        if time.monotonic() < self._not_before:
            return
        try:
            self._send()
        except TrackingError:
            self._not_before = time.monotonic() + RETRY
            raise

    def flush(self, lines: Iterable[Mapping[str, Any]]) -> str:
        """Send whatever MLflow lacks of all `lines`; returns the run's id.

        Raises:
            TrackingError: MLflow did not take it.
        """
        self._waiting = [point for line in lines for point in points_of(line)]
        self._recorded = None
        self._send()
        return self.run.id

    def _send(self) -> None:
        """Send what waits and is not recorded. After a failure nobody knows how much of it arrived: ask again then."""
        if self._recorded is None:
            self._recorded = self.run.recorded()
        recorded, self._recorded = self._recorded, None
        latest = {(point.key, point.step): point for point in self._waiting}
        missing = [point for place, point in latest.items() if place not in recorded]
        for start in range(0, len(missing), AT_ONCE):
            self.run.points(missing[start : start + AT_ONCE])
        self._recorded = recorded | latest.keys()
        self._waiting = []


def points_of(line: Mapping[str, Any]) -> list[Point]:
    """The numbers of one line of a training's log, but those that say where the training stands."""
    step, at = int(line.get("step", 0)), float(line.get("time", time.time()))
    return [Point(key, step, value, at) for key, value in numbers(line).items() if key not in PLACE]
