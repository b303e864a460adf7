"""What every reader of foreign files raises."""

from __future__ import annotations

from pathlib import Path


class Refusal(ValueError):
    """A file, or a part of one, that is not read; the message names file, line and remedy.

    Attributes:
        problem: the message without its place, for whoever knows the place better.
        within: the message with its line alone, for whoever names the file.
    """

    def __init__(self, problem: str, file: Path | str | None = None, line: int | None = None) -> None:
        self.problem = problem
        self.within = f"line {line}: {problem}" if line else problem
        place = "" if file is None else f"{file}, " if line else f"{file}: "
        super().__init__(place + self.within)
