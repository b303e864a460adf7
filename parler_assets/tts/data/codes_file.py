"""A training set on disk: one Parquet table per split, and its codes as one memory-mappable array.

The codes of a split lie in `codes-<split>-<digest>.npy`, (frames of all clips, K) uint16; a row's codes are
`codes[offset : offset + frames]`. The table names that file, so the stage's digest covers both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.storage import Shard, ShardError, disk, known_sha256

TRAIN, HELD_OUT = SPLITS = ("train", "held_out")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("corpus", pa.string()),
        ("speaker", pa.string()),
        ("style", pa.string()),
        ("text", pa.string()),
        ("description", pa.string()),
        ("duration", pa.float64()),
        ("weight", pa.float32()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("description_ids", pa.list_(pa.int32())),
        ("offset", pa.int64()),
        ("frames", pa.int32()),
    ]
)
_FILE = b"codes_file"
DIGITS = 16  # of a file's SHA-256 in its name


def write_codes(folder: Path, split: str, codes: Iterable[np.ndarray], codebooks: int) -> str:
    """Concatenate clips' codes, each (T, K), into one file named after its content; returns its name.

    Clips are written as they come, so that no more than one is in memory; NumPy leaves room in the header for the
    number of frames, which is known at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary, frames = folder / f".codes-{split}.{os.getpid()}.tmp", 0
    with disk.writing(folder / f"codes-{split}.npy", temporary), temporary.open("wb") as file:
        begin = _write_header(file, 1, codebooks)
        for clip in codes:
            file.write(np.ascontiguousarray(clip, np.uint16).tobytes())
            frames += len(clip)
        if not frames:  # an empty file cannot be mapped
            file.write(bytes(2 * codebooks))
        file.seek(0)
        assert _write_header(file, max(frames, 1), codebooks) == begin
        file.flush()
        os.fsync(file.fileno())
    name = f"codes-{split}-{storage.sha256_of(temporary)[:DIGITS]}.npy"
    temporary.replace(folder / name)
    return name


def _write_header(file: BinaryIO, frames: int, codebooks: int) -> int:
    description = {"descr": "<u2", "fortran_order": False, "shape": (frames, codebooks)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.tell()


def naming(schema: pa.Schema, file: str) -> pa.Schema:
    """The schema with the name of the codes' file kept in it."""
    return schema.with_metadata({_FILE: file.encode()})


def sweep_codes(folder: Path) -> None:
    """Remove codes of earlier training sets, once the manifest names the new ones."""
    kept = {open_split(folder, split, ["id"]).codes_file for split in SPLITS}
    for path in folder.glob("codes-*.npy"):
        if path.name not in kept:
            path.unlink()


@dataclass(frozen=True)
class Split:
    """The rows of one split, with their codes mapped into memory."""

    folder: Path
    table: pa.Table
    shard: Shard | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def codes_file(self) -> str:
        return (self.table.schema.metadata or {}).get(_FILE, b"").decode()

    @cached_property
    def codes(self) -> np.ndarray:
        """(frames of all clips, K) uint16, read only; its digest is compared once per process.

        Raises:
            ShardError: the file is missing or is not the array that was written.
        """
        if damage := self.damage():
            raise ShardError(damage)
        return np.load(self.folder / self.codes_file, mmap_mode="r", allow_pickle=False)

    def damage(self) -> str | None:
        """What is wrong with the codes on disk, with the remedy; None when they are what was written.

        Raises:
            ShardError: there is no such file, or it cannot be read.
        """
        path = self.folder / self.codes_file
        remedy = "materialize the training set again: the codes and the table of this split are made again"
        try:
            checksum = known_sha256(path)
        except OSError as error:
            raise ShardError(f"{path}: unreadable ({error}); {self._first}{remedy}") from None
        if checksum[:DIGITS] == path.stem.rpartition("-")[2]:
            return None
        return f"{path}: damaged (its SHA-256 is not the one in its name); {self._first}{remedy}"

    @property
    def _first(self) -> str:
        """What to do before: only sets whose manifest does not name their codes are not found damaged by a build."""
        return "" if self.shard is None or self.shard.beside else f"delete {self.shard.file} beside it, then "

    @cached_property
    def offsets(self) -> np.ndarray:
        return self.table["offset"].to_numpy()

    @cached_property
    def frames(self) -> np.ndarray:
        """Codec frames of every clip, without the delay."""
        return self.table["frames"].to_numpy().astype(np.int64)

    @cached_property
    def weights(self) -> np.ndarray:
        return self.table["weight"].to_numpy()

    @cached_property
    def prompts(self) -> list[np.ndarray]:
        """Token ids of every transcript."""
        return _ragged(self.table["prompt_ids"])

    @cached_property
    def descriptions(self) -> list[np.ndarray]:
        """Token ids of every description."""
        return _ragged(self.table["description_ids"])

    def clip(self, row: int) -> np.ndarray:
        """Codes of one clip, (T, K) uint16, a view of the mapped file."""
        return self._mapped[self.offsets[row] : self.offsets[row] + self.frames[row]]

    @cached_property
    def _mapped(self) -> np.ndarray:
        """The mapped codes as a plain array: slicing a memmap itself takes 100 times as long."""
        return self.codes.view(np.ndarray)


def _ragged(column: pa.ChunkedArray) -> list[np.ndarray]:
    whole = column.combine_chunks()
    values, offsets = whole.values.to_numpy(), whole.offsets.to_numpy()
    return [values[start:stop] for start, stop in pairwise(offsets)]


def open_split(folder: Path, split: str, columns: list[str] | None = None) -> Split:
    """One split of a finished training set; with `columns`, only these are read."""
    manifest = storage.read_manifest(folder)
    shard = manifest.shards[SPLITS.index(split)]
    return Split(folder, storage.read_shard(folder, shard, columns), shard)
