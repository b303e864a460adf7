"""What every source of clips offers: ids in order, and the clips of any range of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RawClip:
    """One clip as its source has it.

    Attributes:
        id: its name, never empty.
        audio: the bytes of a sound file as published; empty where the source has none for this row.
        text: what is said; empty where the source has none.
        speaker, style, gender, accent, age: as the source spells them; None where it has no such column or value.
        problem: why the source could not give this clip, such as a file that is missing; None for a usable one.
    """

    id: str
    audio: bytes
    text: str
    speaker: str | None = None
    style: str | None = None
    gender: str | None = None
    problem: str | None = None
    accent: str | None = None
    age: str | None = None


class Source(Protocol):
    """A corpus's clips in a fixed order. A row that is broken is still given: whoever stores clips sets it aside."""

    @property
    def fingerprint(self) -> str:
        """Changes when the clips may have changed: settings, pinned revision, files."""

    @property
    def commits(self) -> Mapping[str, str]:
        """Repository to the commit that clips are read from; empty for what is no repository."""

    def ids(self) -> list[str]:
        """The ids of all rows, in order, without reading audio."""

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        """The clips of rows `start` to `stop` (exclusive)."""
