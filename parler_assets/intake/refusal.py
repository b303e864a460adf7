"""What every reader of foreign files raises."""

from __future__ import annotations

from pathlib import Path


class Refusal(ValueError):
    """A file, or a part of one, that is not read; the message names file, line and remedy.

    Attributes:
        problem: the message without its place, for whoever knows the place better.
    """

    def __init__(self, problem: str, file: Path | str | None = None, line: int | None = None) -> None:
        place = "" if file is None else f"{file}, line {line}: " if line else f"{file}: "
        super().__init__(place + problem)
        self.problem = problem
