"""Rows of finished stages by number and by id, without holding a stage in memory.

A stage of a million rows is read a shard at a time. What is kept of all of it is its ids, in Arrow's compact form, for
as long as it takes to find each other: 30 bytes a row instead of the kilobytes that dictionaries of rows take.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parler_assets import storage

KEPT_SHARDS = 4


class Stored:
    """Rows of a finished stage, found by their number counted over all its shards."""

    def __init__(self, folder: Path, columns: list[str]) -> None:
        self.folder, self.columns = folder, columns
        self.shards = storage.read_manifest(folder).shards
        self.starts = np.cumsum([0, *(shard.rows for shard in self.shards)])
        self._near: OrderedDict[int, pa.Table] = OrderedDict()

    def take(self, rows: np.ndarray) -> pa.Table:
        """The rows of these numbers (one at least), in this order; fastest when neighbours lie in the same shard."""
        places = np.searchsorted(self.starts, rows, side="right") - 1
        order = np.argsort(places, kind="stable")
        wanted = np.unique(places).tolist()
        parts = [self._shard(place).take(rows[places == place] - self.starts[place]) for place in wanted]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.concat_tables(parts, promote_options="permissive").take(back)

    def _shard(self, place: int) -> pa.Table:
        if place not in self._near:
            self._near[place] = storage.read_shard(self.folder, self.shards[place], self.columns)
            while len(self._near) > KEPT_SHARDS:
                self._near.popitem(last=False)
        self._near.move_to_end(place)
        return self._near[place]


def ids_of(folder: Path) -> pa.ChunkedArray:
    """The ids of a finished stage, in its order."""
    parts = [part["id"].cast(pa.string()).combine_chunks() for part in storage.iterate(folder, ["id"])]
    return pa.chunked_array(parts, pa.string())


def doubled(ids: pa.ChunkedArray) -> list[str]:
    """Ids that occur more than once, in the order of their first occurrence."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return []
    counted = pc.value_counts(ids)
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist()


def found_in(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> np.ndarray:
    """For every id the number of the row of `others` that has it, or -1; (ids,) int64."""
    return pc.fill_null(pc.index_in(ids, value_set=others), -1).to_numpy().astype(np.int64)
