"""Long work says how far it is.

Where `PARLER_PROGRESS` names a file, what is said is appended to it: whoever started this process shows it. Otherwise
this process shows it itself, on standard error.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Self, TypeVar

from parler_assets.progress.display import Display, display_for
from parler_assets.progress.message import Message

CHANNEL = "PARLER_PROGRESS"
PAUSE = 0.2  # seconds between two messages of one task: more are not seen
_numbers = itertools.count()
T = TypeVar("T")


class Task:
    """Work of a known length; leaving its block ends it.

    Args:
        name: of the work, such as `studio/dac_codes`.
        total: how many units it has.
        unit: what is counted, in the singular.
    """

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.id = f"{os.getpid()}-{next(_numbers)}"
        self.name, self.total, self.unit = name, total, unit
        self._details: dict[str, float] = {}
        self._sent = float("-inf")

    def at(self, done: int, **details: float) -> None:
        """Say how much is done, and what else is to be shown until it changes, such as a loss or `seconds_left`."""
        now = time.monotonic()
        self._details |= details
        if now - self._sent < PAUSE and done < self.total:
            return
        self._sent = now
        self._send(Message(self.id, self.name, done, self.total, self.unit, self._details))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send(Message(self.id, self.name, self.total, self.total, self.unit, ended=True))

    def _send(self, message: Message) -> None:
        channel = os.environ.get(CHANNEL)
        if channel:
            with suppress(OSError), open(channel, "a", encoding="utf-8") as file:
                file.write(message.line())  # one short write at the end: lines of several processes stay whole
        else:
            _own_display().update(message)


def follow(items: Iterable[T], name: str, total: int, unit: str) -> Iterator[T]:
    """The items, saying before each how many are done."""
    with Task(name, total, unit) as task:
        for done, item in enumerate(items):
            task.at(done)
            yield item


@cache
def _own_display() -> Display:
    return display_for(sys.stderr)
