"""Shards of clips worked on in pieces, so that neither many long clips nor a single one fill the memory.

Audio takes far more room decoded than in its file; how much a piece takes is known beforehand by its clips' durations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from parler_assets.storage import Part, SetAside

PIECE = 600.0  # seconds of audio decoded at once, or one longer clip
TOO_MUCH = "it needs more memory than there is: cut it into shorter clips"


def in_pieces(tables: Iterable[pa.Table], work: Callable[[pa.Table], Part], stage: str) -> Part:
    """What `work` makes of rows with `id` and `duration` (s), done on slices of at most `PIECE` seconds of each table.

    Where memory does not suffice, the clips of a slice are tried one by one; one that fails alone is set aside.
    """
    parts = [part for table in tables for piece in pieces(table) for part in _parts(piece, work, stage)]
    made = [part.table for part in parts if isinstance(part.table, pa.Table)]
    return Part(pa.concat_tables(made), [row for part in parts for row in part.set_aside])


def pieces(table: pa.Table) -> list[pa.Table]:
    """Slices of neighbouring rows, together at most `PIECE` seconds or one longer clip; one slice for no rows."""
    starts, total = [0], 0.0
    for row, seconds in enumerate(table["duration"].to_pylist()):
        if row > starts[-1] and total + seconds > PIECE:
            starts.append(row)
            total = 0.0
        total += seconds
    ends = [*starts[1:], table.num_rows]
    return [table.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _parts(piece: pa.Table, work: Callable[[pa.Table], Part], stage: str) -> Iterator[Part]:
    try:
        done = work(piece)
    except Exception as error:
        if not _lacks_memory(error):
            raise
    else:
        yield done
        return
    # Out here, the failed attempt's arrays are free again.
    if piece.num_rows > 1:
        for row in range(piece.num_rows):
            yield from _parts(piece.slice(row, 1), work, stage)
    else:
        nothing = work(piece.slice(0, 0)).table
        yield Part(nothing, [SetAside(piece["id"][0].as_py(), stage, f"audio cannot be processed: {TOO_MUCH}")])


def _lacks_memory(error: Exception) -> bool:
    """Also as torch says it: OutOfMemoryError of a GPU, and a plain RuntimeError of the processor's allocator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


@dataclass(frozen=True)
class Window:
    """Frames `first` to `last` of a long clip, of which those in `kept`, counted from `first`, depend on no others."""

    first: int
    last: int
    kept: slice


def windows(frames: int, reach: int, most: int) -> Iterator[Window]:
    """Windows of at most `most` frames that keep every frame once, with `reach` frames around what they keep."""
    step = max(1, most - 2 * reach)
    for start in range(0, frames, step):
        end, first = min(start + step, frames), max(0, start - reach)
        yield Window(first, min(end + reach, frames), slice(start - first, end - first))
