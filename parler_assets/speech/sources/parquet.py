"""Parquet files that were fetched; a damaged one is named with what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets.hub.errors import SourceError


def names_in(path: Path) -> list[str]:
    """The columns of a file."""
    with _readable(path):
        return pq.read_schema(path).names


def rows_of_groups(path: Path) -> list[int]:
    """How many rows each row group has."""
    with _readable(path):
        layout = pq.read_metadata(path)
        return [layout.row_group(group).num_rows for group in range(layout.num_row_groups)]


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    with _readable(path):
        return pq.read_table(path, columns=list(columns))


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    with _readable(path), pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=list(columns))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError) as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        file = os.path.realpath(path)  # the Hub's cache keeps it behind a link
        raise SourceError(f"{path}: not readable as Parquet ({told}); delete {file} and materialize again") from None
