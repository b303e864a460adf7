"""Parquet files that were fetched; a damaged one is named with what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets.hub.errors import SourceError

MOST = 8 << 30  # bytes of a row group's chosen columns, or of a whole column of texts, when they are decompressed
EXPANDED = 1 << 30  # bytes that values which repeat may become, where they are more than twice what is stated
BATCH = 1 << 28  # bytes that one step adds at most
PARTS = 16  # of an object in a cell


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
    """Some columns of a whole file, dictionaries decoded."""
    with _readable(path), pq.ParquetFile(path) as file:
        return _counted(file, range(file.num_row_groups), columns)


def read_opened(file: IO[bytes], name: str, choose: Callable[[pa.Schema], Sequence[str]]) -> pa.Table:
    """Some columns of a file that is open, such as one on the Hub of which no more is fetched."""
    with _readable(Path(name)), pq.ParquetFile(file) as opened:
        return _counted(opened, range(opened.num_row_groups), choose(opened.schema_arrow))


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Some columns of a row group, dictionaries decoded."""
    with _readable(path), pq.ParquetFile(path) as file:
        return _counted(file, [group], columns)


def _counted(file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
    """The rows in batches, whose bytes are counted: values repeat without being stated again in the footer."""
    schema, sizes = file.schema_arrow, [_bytes(file.metadata, group, columns) for group in groups]
    for name in columns:
        _refuse_nested(schema.field(name))
    stated, most = sum(sizes), min(MOST, max(EXPANDED, 2 * sum(sizes)))
    _refuse_large(stated, MOST)
    rows, taken = min(BATCH // max(1, *sizes) + 1, 1 << 16), 0
    found = []
    for batch in file.iter_batches(rows, groups, list(columns)):
        found.append(pa.Table.from_batches([batch]))
        for place, column in enumerate(found[-1].columns):
            if pa.types.is_dictionary(column.type):
                plain = column.cast(column.type.value_type)
                found[-1] = found[-1].set_column(place, found[-1].column_names[place], plain)
        taken += found[-1].nbytes
        _refuse_large(taken, most)
    return pa.concat_tables(found) if found else schema.empty_table().select(list(columns))


def _bytes(layout: pq.FileMetaData, group: int, columns: Sequence[str]) -> int:
    """What some columns of a row group have when they are decompressed, as the file's footer says."""
    parts = [layout.row_group(group).column(place) for place in range(layout.num_columns)]
    return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)


def _refuse_large(size: int, most: int) -> None:
    if not 0 <= size <= most:
        raise pa.ArrowInvalid(f"{size:,} bytes are read at once, and at most {most:,}: write smaller row groups")


def _refuse_nested(field: pa.Field) -> None:
    """A cell is a value, or an object of values as sound has it."""
    parts = [part.type for part in field.type] if pa.types.is_struct(field.type) else []
    strange = any(pa.types.is_nested(part) or pa.types.is_dictionary(part) for part in parts) or len(parts) > PARTS
    if strange or (pa.types.is_nested(field.type) and not parts):
        raise pa.ArrowInvalid(f"column {field.name[:80]!r} is nested, and only texts, numbers and sound are read")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, KeyError, UnicodeDecodeError) as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        file = os.path.realpath(path)  # the Hub's cache keeps it behind a link
        raise SourceError(f"{path}: not readable as Parquet ({told}); delete {file} and materialize again") from None
