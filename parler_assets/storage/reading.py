"""Finished stages as tables, one shard at a time or whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets.storage.manifest import MANIFEST, Shard, ShardError, read_manifest


def read_shard(folder: Path, shard: Shard, columns: list[str] | None = None) -> pa.Table:
    """A shard as it was written, or some of its columns. Its digest is compared once per process.

    Raises:
        ShardError: it is missing or is not what was written; the message names the file and the remedy.
    """
    path, remedy = Path(folder) / shard.file, _remedy(folder)
    if damage := replace(shard, beside={}).damage(folder):
        raise ShardError(f"{damage}; {remedy}")
    try:
        table = pq.read_table(path, columns=columns)
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise ShardError(f"{path}: unreadable ({error}); delete it and {remedy}") from None
    _refuse_rows(path, table.num_rows, shard, remedy)
    return table


def read_groups(folder: Path, shard: Shard, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """A shard as the tables that it was written in, one in memory at a time; at least one.

    Raises:
        ShardError: as `read_shard` does.
    """
    path, remedy = Path(folder) / shard.file, _remedy(folder)
    if damage := replace(shard, beside={}).damage(folder):
        raise ShardError(f"{damage}; {remedy}")
    try:
        with pq.ParquetFile(path) as file:
            _refuse_rows(path, file.metadata.num_rows, shard, remedy)
            if not file.num_row_groups:
                yield file.schema_arrow.empty_table().select(columns or file.schema_arrow.names)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns)
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise ShardError(f"{path}: unreadable ({error}); delete it and {remedy}") from None


def _refuse_rows(path: Path, rows: int, shard: Shard, remedy: str) -> None:
    if rows != shard.rows:
        message = f"{path}: {rows} rows, the manifest says {shard.rows}"
        raise ShardError(f"{message}; delete {MANIFEST} beside it and {remedy}")


def _remedy(folder: Path) -> str:
    return f"materialize the stage {Path(folder).name} again: what is missing or damaged of it is made again"


def iterate(folder: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The shards of a finished stage as tables, one at a time."""
    for shard in read_manifest(folder).shards:
        yield read_shard(folder, shard, columns)


def read(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """A whole finished stage as one table. For columns that fit in memory; use `iterate` for audio."""
    tables = list(iterate(folder, columns))
    if not tables:
        raise ShardError(f"{folder}: the stage finished with no shard at all; materialize it again")
    return pa.concat_tables(tables, promote_options="permissive")
