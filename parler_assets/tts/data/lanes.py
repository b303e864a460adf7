"""One corpus's clips, descriptions and codes, joined by id.

Rows are never paired by position: the reference implementation does, and pairs silently wrong rows when two tables are
in different order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets.recipe import Training
from parler_assets.speech import shards
from parler_assets.speech.shards import SetAside

STAGE = "training_set"


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

    @property
    def fingerprint(self) -> list:
        """Everything of this lane that a training set depends on."""
        listed = shards.sha256_of(self.held_out_ids) if self.held_out_ids else None
        inputs = [shards.read_manifest(folder).digest for folder in (self.raw, self.descriptions, self.codes)]
        return [self.name, *inputs, self.weight, self.held_out, listed, self.licence]


@dataclass
class Row:
    """One clip ready for training. `codes` is (T, K) uint16; it is dropped once written to the codes file."""

    id: str
    corpus: str
    speaker: str | None
    style: str | None
    text: str
    description: str
    duration: float
    codes: np.ndarray

    @property
    def utterance(self) -> tuple[str, str]:
        """What must not be both in training and held out: who says what. An unnamed speaker is the corpus's own."""
        return (self.speaker or f"({self.corpus})", " ".join(self.text.lower().split()))


@dataclass
class JoinedLane:
    """The rows of a lane that passed every filter, those that did not, and what did not match at all."""

    lane: Lane
    rows: list[Row] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    clips: int = 0
    described: int = 0
    coded: int = 0


def kind_of(row: SetAside) -> str:
    """The kind of a reason: its part before the colon."""
    return row.reason.split(":")[0]


def join_lane(lane: Lane, settings: Training, codebooks: int, codebook_size: int) -> JoinedLane:
    """Join raw clips, descriptions and codes of one lane by id, and filter them.

    Raises:
        TrainingSetError: an id occurs twice in one of the stages, or the codes have another number of codebooks.
        ShardError: a stage is unfinished or a shard unreadable.
    """
    clips = shards.read(lane.raw, ["id", "text", "speaker", "style", "duration"])
    described = _by_id(lane, "descriptions", shards.read(lane.descriptions, ["id", "description"]))
    codes = _codes_by_id(lane, codebooks)
    joined = JoinedLane(lane, clips=clips.num_rows)
    _unique(lane, "raw clips", clips["id"].to_pylist())
    for clip in clips.to_pylist():
        description, frames = described.get(clip["id"]), codes.get(clip["id"])
        joined.described += description is not None
        joined.coded += frames is not None
        reason = _fault(clip, description, frames, settings, codebook_size)
        if reason:
            joined.set_aside.append(SetAside(f"{lane.name}/{clip['id']}", STAGE, reason))
        else:
            assert description is not None
            assert frames is not None
            joined.rows.append(Row(corpus=lane.name, description=description.strip(), codes=frames, **_plain(clip)))
    return joined


def _plain(clip: dict) -> dict:
    return {**clip, "text": clip["text"].strip()}


def _fault(
    clip: dict, description: str | None, codes: np.ndarray | None, settings: Training, codebook_size: int
) -> str | None:
    """Why a clip cannot be trained on, or None. Bounds are strict, as the reference's are."""
    seconds, text = clip["duration"], (clip["text"] or "").strip()
    if not settings.min_seconds < seconds < settings.max_seconds:
        return f"duration: {seconds:.2f} s, wanted {settings.min_seconds} to {settings.max_seconds} s"
    if not text:
        return "text: empty"
    if len(text) >= settings.max_text_length:
        return f"text length: {len(text)} characters, wanted fewer than {settings.max_text_length}"
    if not (description or "").strip():
        return "missing description: no description has this id"
    if len(description or "") >= settings.max_description_length:
        return f"description length: {len(description or '')} characters, limit {settings.max_description_length}"
    if codes is None or not len(codes):
        return "missing codes: no codes have this id"
    if codes.max() >= codebook_size:
        return f"code range: code {codes.max()} where the base's codebooks have {codebook_size} entries"
    return None


def _by_id(lane: Lane, what: str, table: pa.Table) -> dict[str, str]:
    ids = table["id"].to_pylist()
    _unique(lane, what, ids)
    return dict(zip(ids, table["description"].to_pylist(), strict=True))


def _codes_by_id(lane: Lane, codebooks: int) -> dict[str, np.ndarray]:
    """Codes of every clip as (T, K), views into Arrow's memory until they are written out."""
    table = shards.read(lane.codes, ["id", "codes", "frames", "codebooks"])
    found = set(table["codebooks"].unique().to_pylist())
    if found - {codebooks}:
        raise TrainingSetError(
            f"corpus {lane.name}: codes have {sorted(found)} codebooks, the base checkpoint has {codebooks}; "
            "materialize dac_codes again with this base"
        )
    ids = table["id"].to_pylist()
    _unique(lane, "codes", ids)
    return dict(zip(ids, _matrices(table, codebooks), strict=True))


def _matrices(table: pa.Table, codebooks: int) -> Iterator[np.ndarray]:
    for chunk in table["codes"].chunks:
        values, offsets = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        for start, stop in pairwise(offsets):
            yield values[start:stop].reshape(codebooks, -1).T


def _unique(lane: Lane, what: str, ids: list[str]) -> None:
    doubled = [name for name, count in Counter(ids).items() if count > 1]
    if doubled:
        raise TrainingSetError(
            f"corpus {lane.name}: id {doubled[0]!r} occurs more than once in its {what} "
            f"({len(doubled)} such ids); ids must be unique"
        )


def stable_share(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone, the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56
