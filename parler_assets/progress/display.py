"""What tasks say, shown: as bars on a terminal, as a line every ten seconds anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TextIO

from tqdm import tqdm

from parler_assets.progress.message import HIDDEN, Message, duration

EVERY = 10.0  # seconds between the lines of one task where there is no terminal
BAR = "  {desc} {percentage:3.0f}% |{bar:20}| {unit}"
WIDTH = 28  # of names: short ones line up


class Display(Protocol):
    """Shows what tasks say, and lines between them."""

    def update(self, message: Message) -> None: ...

    def say(self, line: str) -> None: ...

    def tick(self) -> None:
        """Called now and then: time passes also where nothing is said."""

    def close(self) -> None: ...


def display_for(stream: TextIO) -> Display:
    """Bars where `stream` is a terminal that can move its cursor back; else lines."""
    return Bars(stream) if stream.isatty() else Lines(stream)


class Clock:
    """When each task was first heard of, and what is left of it by its own speed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._first: dict[str, tuple[float, int]] = {}

    def left(self, message: Message) -> float | None:
        """Seconds; None while nothing can be said."""
        since, begun = self._first.setdefault(message.task, (self.now(), message.done))
        if HIDDEN in message.details:
            return message.details[HIDDEN]
        made, spent = message.done - begun, self.now() - since
        return spent / made * (message.total - message.done) if made > 0 else None

    def words(self, message: Message) -> str:
        """`12 of 40 shards, loss 3.2, 1 min 5 s left`."""
        left, plural = self.left(message), "" if message.total == 1 else "s"
        parts = [f"{message.done} of {message.total} {message.unit}{plural}", *message.numbers()]
        return ", ".join([*parts, *([f"{duration(left)} left"] if left is not None else [])])


class Bars:
    """One bar a task that runs; they vanish when it ends."""

    def __init__(self, stream: TextIO, clock: Clock | None = None) -> None:
        self.stream, self.clock = stream, clock or Clock()
        self._bars: dict[str, tqdm] = {}

    def update(self, message: Message) -> None:
        if message.ended:
            bar = self._bars.pop(message.task, None)
            if bar is not None:
                bar.close()
            return
        words = self.clock.words(message)
        if message.task not in self._bars:
            self._bars[message.task] = tqdm(
                desc=f"{message.name:<{WIDTH}}", total=message.total, file=self.stream, bar_format=BAR,
                dynamic_ncols=True, leave=False,
            )  # fmt: skip
        bar = self._bars[message.task]
        bar.n = message.done
        bar.unit = words
        bar.refresh()

    def say(self, line: str) -> None:
        tqdm.write(line, file=self.stream)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()


class Lines:
    """A line every ten seconds for each task that runs: nothing for one that is over sooner."""

    def __init__(self, stream: TextIO, clock: Clock | None = None) -> None:
        self.stream, self.clock = stream, clock or Clock()
        self._latest: dict[str, Message] = {}
        self._written: dict[str, float] = {}

    def update(self, message: Message) -> None:
        if message.ended:
            self._latest.pop(message.task, None)
            return
        self.clock.left(message)
        self._written.setdefault(message.task, self.clock.now())
        self._latest[message.task] = message
        self.tick()

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

    def tick(self) -> None:
        for task, message in self._latest.items():
            if self.clock.now() - self._written[task] >= EVERY:
                self._written[task] = self.clock.now()
                self.say(f"  {message.name:<{WIDTH}} {self.clock.words(message)}")

    def close(self) -> None:
        self._latest.clear()
