"""Clips, descriptions and codes of one corpus joined by id, and filtered.

Rows are never paired by position: the reference implementation does, and pairs silently wrong rows when two tables are
in different order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Training
from parler_assets.storage import SetAside
from parler_assets.tts.data.lanes import (
    ROW,
    STAGE,
    JoinedLane,
    Lane,
    TrainingSetError,
    stable_share,
    utterance,
    utterance_number,
)
from parler_assets.tts.data.rows import Stored, doubled, found_in, ids_of

# Given the transcripts and the descriptions of clips: why each has too many tokens, or None.
TooLong = Callable[[list[str], list[str]], list[str | None]]


def join_lane(
    lane: Lane, number: int, settings: Training, codebooks: int, codebook_size: int, too_long: TooLong
) -> JoinedLane:
    """Join raw clips, descriptions and codes of one lane by id, and filter them.

    Raises:
        TrainingSetError: an id occurs twice in one of the stages, or the codes have another number of codebooks.
        ShardError: a stage is unfinished or a shard unreadable.
    """
    joined = JoinedLane(lane, _unique(lane, "raw clips", lane.raw))
    described = found_in(joined.ids, _unique(lane, "descriptions", lane.descriptions))
    coded = found_in(joined.ids, _unique(lane, "codes", lane.codes))
    joined.described, joined.coded = int((described >= 0).sum()), int((coded >= 0).sum())
    parts = _Parts(lane, number, described, coded, *_codes(lane, codebooks))
    rows, start = [joined.rows], 0
    for clips in storage.iterate(lane.raw, ["text", "speaker", "style", "duration"]):
        rows.append(parts.passing(joined, start, clips, settings, codebook_size, too_long))
        start += len(clips)
    joined.rows = np.concatenate(rows)
    return joined


@dataclass
class _Parts:
    """Where the description and the codes of every raw clip are, (clips,), and what every row of codes is like."""

    lane: Lane
    number: int
    described: np.ndarray
    coded: np.ndarray
    frames: np.ndarray
    highest: np.ndarray

    def __post_init__(self) -> None:
        self.descriptions = Stored(self.lane.descriptions, ["description"])
        self.known = self.lane.reasons()

    def passing(
        self,
        joined: JoinedLane,
        start: int,
        table: pa.Table,
        settings: Training,
        codebook_size: int,
        too_long: TooLong,
    ) -> np.ndarray:
        """The rows of one shard of raw clips that pass, (rows,) of ROW; the others are noted in `joined`."""
        clips = [
            _Clip(**clip, description=description, frames=frames, highest=highest)
            for clip, description, (frames, highest) in zip(
                table.to_pylist(), self._texts(start, len(table)), self._coded(start, len(table)), strict=True
            )
        ]
        names = joined.ids[start : start + len(table)].to_pylist()
        known = [self.known.get(name) for name in names]
        reasons = [_fault(clip, settings, codebook_size, why) for clip, why in zip(clips, known, strict=True)]
        left = [place for place, reason in enumerate(reasons) if reason is None]
        limits = too_long([clips[place].words for place in left], [clips[place].said for place in left])
        for place, reason in zip(left, limits, strict=True):
            reasons[place] = reason
        joined.set_aside += [
            SetAside(joined.key(start + place), STAGE, reason) for place, reason in enumerate(reasons) if reason
        ]
        passed = [place for place in left if reasons[place] is None]
        return np.array([self._row(joined, start + place, clips[place]) for place in passed], ROW)

    def _texts(self, start: int, count: int) -> list[str | None]:
        rows = self.described[start : start + count]
        there = np.flatnonzero(rows >= 0)
        texts: list[str | None] = [None] * count
        if not len(there):
            return texts
        for place, text in zip(there, self.descriptions.take(rows[there])["description"].to_pylist(), strict=True):
            texts[place] = text
        return texts

    def _coded(self, start: int, count: int) -> list[tuple[int, int]]:
        """Frames and highest code of clips; a clip without codes has no frames."""
        rows = self.coded[start : start + count]
        return [(int(self.frames[row]), int(self.highest[row])) if row >= 0 else (0, 0) for row in rows]

    def _row(self, joined: JoinedLane, place: int, clip: _Clip) -> tuple:
        spoken = utterance(self.lane.name, clip.speaker, clip.words)
        speaker, style = joined.speakers.number(clip.speaker), joined.styles.number(clip.style)
        where = (self.number, place, self.described[place], self.coded[place])
        share = stable_share(f"{self.lane.name}\0{spoken}")
        return (*where, clip.frames, clip.duration, speaker, style, share, utterance_number(spoken))


@dataclass(frozen=True)
class _Clip:
    """A clip as it is judged. `highest` is its highest code."""

    text: str | None
    speaker: str | None
    style: str | None
    duration: float
    description: str | None
    frames: int
    highest: int

    @property
    def words(self) -> str:
        return (self.text or "").strip()

    @property
    def said(self) -> str:
        return (self.description or "").strip()


def _fault(clip: _Clip, settings: Training, codebook_size: int, known: str | None = None) -> str | None:
    """Why a clip cannot be trained on, or None. Bounds are strict, as the reference's are.

    `known` is why an earlier stage set it aside.
    """
    seconds, letters, said = clip.duration, len(clip.words), len(clip.description or "")
    if not settings.min_seconds < seconds < settings.max_seconds:
        return f"duration: {seconds:.2f} s, wanted {settings.min_seconds} to {settings.max_seconds} s"
    if not letters:
        return "text: empty"
    if letters >= settings.max_text_length:
        return f"text length: {letters} characters, wanted fewer than {settings.max_text_length}"
    if not clip.said:
        return f"missing description: {known or 'no description has this id'}"
    if said >= settings.max_description_length:
        return f"description length: {said} characters, limit {settings.max_description_length}"
    if not clip.frames:
        return f"missing codes: {known or 'no codes have this id'}"
    if clip.highest >= codebook_size:
        return f"code range: code {clip.highest} where the base's codebooks have {codebook_size} entries"
    return None


def _codes(lane: Lane, codebooks: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and highest code of every row of the codes, each (rows,)."""
    frames, highest, found = [np.empty(0, np.int32)], [np.empty(0, np.int32)], set()
    for part in storage.iterate(lane.codes, ["codes", "codebooks"]):
        found |= set(part["codebooks"].unique().to_pylist())
        values, offsets = flattened(part["codes"])
        lengths = np.diff(offsets)
        most = np.zeros(len(lengths), np.int32)
        if len(values):  # reduceat takes no empty stretch: those keep 0
            most[lengths > 0] = np.maximum.reduceat(values, offsets[:-1][lengths > 0])
        frames.append((lengths // codebooks).astype(np.int32))
        highest.append(most)
    if found - {codebooks}:
        raise TrainingSetError(
            f"corpus {lane.name}: codes have {sorted(found)} codebooks, the base checkpoint has {codebooks}; "
            "materialize dac_codes again with this base"
        )
    return np.concatenate(frames), np.concatenate(highest)


def flattened(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """All values of a column of lists, and where each row's begin and end: (values,), (rows + 1,)."""
    whole = column.combine_chunks()
    offsets = whole.offsets.to_numpy()
    return whole.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]


def _unique(lane: Lane, what: str, folder: Path) -> pa.ChunkedArray:
    """The ids of a stage.

    Raises:
        TrainingSetError: one occurs twice.
    """
    ids = ids_of(folder)
    twice = doubled(ids)
    if twice:
        raise TrainingSetError(
            f"corpus {lane.name}: id {twice[0]!r} occurs more than once in its {what} "
            f"({len(twice)} such ids); ids must be unique"
        )
    return ids
