"""A run on the terminal: its events and how far its steps are, and nothing of what they print themselves."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import dagster as dg

from parler_assets.cli.run_lines import RunLines
from parler_assets.progress.display import Display, display_for
from parler_assets.progress.message import Message
from parler_assets.progress.tasks import CHANNEL

POLL = 0.3  # seconds between two looks


@contextmanager
def watching(instance: dg.DagsterInstance, run_id: str, recipe: str) -> Iterator[RunLines]:
    """Show the run until the block ends, whatever process its steps are in.

    What libraries print meanwhile goes to a file: Dagster keeps the steps' part of it for the UI, too. The file stays,
    and is named, where the run does not succeed.
    """
    with tempfile.TemporaryDirectory(prefix="parler-") as place, _output_to(Path(place, "output.txt")) as terminal:
        lines, channel = RunLines(recipe), Path(place, "progress")
        channel.touch()
        os.environ[CHANNEL] = str(channel)
        watch = _Watch(instance, run_id, lines, display_for(terminal), channel)
        watch.start()
        try:
            yield lines
        finally:
            del os.environ[CHANNEL]
            watch.end()
            if lines.failed:
                with suppress(OSError):  # the failure itself is told in any case
                    lines.output = _kept(Path(place, "output.txt"), run_id)


class _Watch(threading.Thread):
    """Reads the run's events and its steps' progress, and shows both."""

    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, lines: RunLines, display: Display, channel: Path
    ) -> None:
        super().__init__(name="progress", daemon=True)
        self.instance, self.run_id, self.lines, self.display, self.channel = instance, run_id, lines, display, channel
        self._over = threading.Event()
        self._cursor: str | None = None
        self._read = 0

    def run(self) -> None:
        while not self._over.wait(POLL):
            with suppress(Exception):  # a database that is busy: the next look finds the rest
                self._look()

    def end(self) -> None:
        """Show what is left to show."""
        self._over.set()
        self.join()
        with suppress(Exception):
            self._look()
        self.display.close()

    def _look(self) -> None:
        self._progress()
        more = True
        while more:
            found = self.instance.get_records_for_run(self.run_id, self._cursor)
            for record in found.records:
                for line in self.lines.of(record.event_log_entry):
                    self.display.say(line)
            more, self._cursor = found.has_more, found.cursor
        self.display.tick()

    def _progress(self) -> None:
        with self.channel.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        for line in whole.decode("utf-8", "replace").splitlines():
            message = Message.read(line)
            if message:
                self.display.update(self.lines.named(message))


@contextmanager
def _output_to(file: Path) -> Iterator[TextIO]:
    """Standard output and error of this process, and of those that it starts, go to `file`; gives the terminal."""
    try:
        sys.stdout.flush()
        terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="replace")
    except (OSError, ValueError):  # a caller has put something else in the place of standard output
        yield sys.stdout
        return
    with file.open("ab") as target, terminal:
        before = [(stream, os.dup(stream)) for stream in (1, 2)]
        for stream, _ in before:
            os.dup2(target.fileno(), stream)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, kept in before:
                os.dup2(kept, stream)
                os.close(kept)


def _kept(output: Path, run_id: str) -> Path:
    """The file with what a run printed, where it stays; nobody else can read it, or have put it there before."""
    with tempfile.NamedTemporaryFile(prefix=f"parler-run-{run_id[:8]}-", suffix=".txt", delete=False) as stays:
        stays.write(output.read_bytes())
    return Path(stays.name)
