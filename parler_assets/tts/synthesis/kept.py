"""Samples that are there already, one by one, whatever run or recipe made them.

Each has a key, a digest of all that it depends on. It lies in a small file of its own as soon as it has ended, so that
a kill in the middle of a batch loses what was not finished and no more; later its batch's shard has it. Files whose
bytes are not those that were written are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets import storage
from parler_assets.storage import Part

EARLIER = {"stopped": "ended"}  # columns of samples made before, and their names now


def current(table: pa.Table) -> pa.Table:
    """Samples with the columns' names of today."""
    return table.rename_columns([EARLIER.get(name, name) for name in table.column_names])


def rows_of(path: Path, **chosen) -> list[dict]:
    """None of a shard that cannot be read: a kill broke it, or another process has replaced it."""
    try:
        return current(pq.read_table(path, **chosen)).to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []


class KeptSamples:
    """The samples in a stage's folder by their keys; none of those made before where all are to be made again."""

    def __init__(self, folder: Path, schema: pa.Schema, rebuild: bool = False) -> None:
        self.folder, self.schema = folder, schema
        self.paths: dict[str, Path] = {} if rebuild else _by_key(folder)
        self._loose: list[Path] = []  # samples of the batch before, which its shard holds by now

    def find(self, keys: Sequence[str]) -> dict[str, dict]:
        """The samples that are there."""
        wanted = set(keys)
        rows = [
            row
            for path in {self.paths[key] for key in keys if key in self.paths}
            for row in rows_of(path, filters=[("key", "in", wanted)])
        ]
        return {row["key"]: row for row in rows}

    def keep(self, key: str, row: dict) -> None:
        """Write one sample where a run after a kill finds it."""
        table = pa.Table.from_pylist([{**row, "key": key}], schema=self.schema)
        self._loose.append(self.folder / storage.write_shard(self.folder, f"part-sample-{key}", Part(table)).file)

    def clear(self) -> None:
        """Remove the small files of samples that a shard has."""
        while self._loose:
            path = self._loose.pop()
            for file in (path.with_suffix(".json"), path):
                file.unlink(missing_ok=True)


def _by_key(folder: Path) -> dict[str, Path]:
    """Key to the shard that has it, over whatever whole shards lie in the folder."""
    found: dict[str, Path] = {}
    for path in storage.intact_shards(folder):
        found |= {row["key"]: path for row in rows_of(path, columns=["key"]) if row.get("key")}
    return found
