"""A corpus as it takes part in a training set, and a clip of it as numbers.

Of every clip only numbers are kept in memory (where its parts lie, how long it is, a hash of who says what): 70 bytes.
Texts and codes are read when they are looked at, and again when they are written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.storage import SetAside

STAGE = "training_set"
# One clip: its corpus and its row in each of the three stages; speaker and style as numbers of `Names`, -1: none.
ROW = np.dtype(
    [
        ("lane", np.int16),
        ("clip", np.int64),
        ("description", np.int64),
        ("codes", np.int64),
        ("frames", np.int32),
        ("duration", np.float64),
        ("speaker", np.int32),
        ("style", np.int32),
        ("share", np.float64),
        ("utterance", np.int64),
    ]
)


class TrainingSetError(ValueError):
    """Inputs that cannot make a training set; the message names the corpus, the row and the remedy."""


@dataclass(frozen=True)
class Lane:
    """Where one corpus's finished stages lie, and how it takes part in training."""

    name: str
    raw: Path
    descriptions: Path
    codes: Path
    weight: float = 1.0
    held_out: float = 0.05
    held_out_ids: Path | None = None
    licence: str | None = None
    between: tuple[Path, ...] = ()  # the stages between clips and descriptions: they know why a clip has none

    def reasons(self) -> dict[str, str]:
        """Id to why a stage before this one set the clip aside."""
        stages = [storage.read_manifest(folder) for folder in (*self.between, self.descriptions, self.codes)]
        return {row.id: row.reason for stage in reversed(stages) for row in stage.set_aside}

    @property
    def fingerprint(self) -> list:
        """Everything of this lane that a training set depends on.

        Raises:
            TrainingSetError: the list of held-out ids is no file.
        """
        if self.held_out_ids and not self.held_out_ids.is_file():
            raise TrainingSetError(f"{self.held_out_ids}: no such file; correct held_out_ids of corpus {self.name}")
        listed = storage.sha256_of(self.held_out_ids) if self.held_out_ids else None
        inputs = [storage.read_manifest(folder).digest for folder in (self.raw, self.descriptions, self.codes)]
        return [self.name, *inputs, self.weight, self.held_out, listed, self.licence]

    @property
    def commits(self) -> dict[str, str]:
        """Repository to the commit that clips and descriptions were built from."""
        facts = [storage.read_manifest(folder).facts for folder in (self.raw, self.descriptions)]
        return {repo: commit for stage in facts for repo, commit in stage.get(COMMITS, {}).items()}


class Names(dict):
    """Names as small numbers, in the order they were met."""

    def number(self, name: str | None) -> int:
        return -1 if name is None else self.setdefault(name, len(self))


@dataclass
class JoinedLane:
    """The rows of a lane that passed every filter, those that did not, and how many there were.

    Attributes:
        rows: (clips that passed,) of `ROW`, in the order of the raw clips.
        ids: of all raw clips.
    """

    lane: Lane
    ids: pa.ChunkedArray
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, ROW))
    set_aside: list[SetAside] = field(default_factory=list)
    speakers: Names = field(default_factory=Names)
    styles: Names = field(default_factory=Names)
    described: int = 0
    coded: int = 0

    @property
    def clips(self) -> int:
        return len(self.ids)

    def key(self, clip: int) -> str:
        """What a clip is called in the training set."""
        return f"{self.lane.name}/{self.ids[clip].as_py()}"


def kind_of(row: SetAside) -> str:
    """The kind of a reason: its part before the colon."""
    return row.reason.split(":")[0]


def utterance(corpus: str, speaker: str | None, text: str) -> str:
    """What must not be both in training and held out: who says what. An unnamed speaker is the corpus's own."""
    return (speaker or f"({corpus})") + "\0" + " ".join(text.lower().split())


def utterance_number(spoken: str) -> int:
    """An utterance in 64 bits: two that were taken for one would only keep a clip out of training."""
    return int.from_bytes(hashlib.sha256(spoken.encode()).digest()[:8], "big", signed=True)


def stable_share(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone, the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56
