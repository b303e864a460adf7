"""Clips out of Arrow tables in the layout of published data sets, Parquet files and `save_to_disk` folders alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from parler_assets.hub.errors import SourceError
from parler_assets.intake import Refusal
from parler_assets.intake.files import SOUND, read_bytes
from parler_assets.intake.folders import Folders
from parler_assets.intake.json_documents import json_value
from parler_assets.intake.names import shown
from parler_assets.intake.remote_code import first_line
from parler_assets.recipe import Columns
from parler_assets.speech.sources.source import RawClip


def chosen_columns(names: Sequence[str], columns: Columns, origin: str) -> dict[str, str]:
    """Our names (id, audio, text, speaker, style, gender, accent, age) to the source's; what it lacks is left out.

    Raises:
        SourceError: audio or text is missing, or a column that the recipe names itself.
    """
    chosen = {}
    for ours, theirs in columns.model_dump().items():
        if theirs in names:
            chosen[ours] = theirs
        elif theirs and (ours in ("audio", "text") or ours in columns.model_fields_set):
            raise SourceError(
                f"{origin} has no column {theirs!r}: set columns.{ours} of its source to one of {', '.join(names)}"
            )
    return chosen


def row_id(row: int) -> str:
    """The id of a clip whose source names none."""
    return f"row-{row:07d}"


def clips_of(table: pa.Table, chosen: Mapping[str, str], first: int, folder: Path | None = None) -> Iterator[RawClip]:
    """The rows of `table` as clips; `first` is the number of its first row in the corpus.

    Args:
        folder: where paths in the audio column lead when the bytes are not in the table, and which they may not leave.
    """
    folders = None if folder is None else Folders(folder)
    labels = class_names(table.schema, list(chosen.values()))
    texts = {ours: strings_of(table[theirs], labels.get(theirs)) for ours, theirs in chosen.items() if ours != "audio"}
    rows = table.num_rows
    ids = texts.get("id") or [row_id(first + row) for row in range(rows)]
    named = ("text", "speaker", "style", "gender", "accent", "age")
    said, speakers, styles, genders, accents, ages = (texts.get(name) or [None] * rows for name in named)
    audio = table[chosen["audio"]]
    for row in range(rows):
        data, problem = _bytes(audio[row].as_py(), folders)
        name = (ids[row] or "").strip() or row_id(first + row)
        yield RawClip(
            name, data, said[row] or "", speakers[row], styles[row], genders[row], problem, accents[row], ages[row]
        )


def ids_of(table: pa.Table, chosen: Mapping[str, str], first: int) -> list[str]:
    """The ids that `clips_of` gives these rows; the table needs no other column than the id's."""
    if "id" not in chosen:
        return [row_id(first + row) for row in range(table.num_rows)]
    values = strings_of(table[chosen["id"]], None)
    return [(value or "").strip() or row_id(first + row) for row, value in enumerate(values)]


def strings_of(column: pa.ChunkedArray, names: Sequence[str] | None) -> list[str | None]:
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:  # what is no UTF-8 becomes lone surrogates, for which a clip is set aside
        raw = column.cast(pa.binary()).to_pylist()
        values = [None if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
    if names is not None:
        return [names[value] if value is not None and 0 <= value < len(names) else None for value in values]
    return [None if value is None else str(value) for value in values]


def _bytes(cell, folders: Folders | None) -> tuple[bytes, str | None]:
    """The sound file in a cell: bytes themselves, or {bytes, path} as the datasets library stores audio."""
    if isinstance(cell, bytes):
        return cell, None
    if isinstance(cell, Mapping):
        if cell.get("bytes"):
            return cell["bytes"], None
        path = cell.get("path")
        if path and folders is not None:
            return _named(str(path), folders)
        if path:
            return b"", f"only a path instead of audio: {shown(str(path))}"
    return b"", "no audio: the cell is empty"


def _named(name: str, folders: Folders) -> tuple[bytes, str | None]:
    try:
        return read_file(folders.find([name]))
    except Refusal as error:
        return b"", unreadable(error)


def read_file(path: Path) -> tuple[bytes, str | None]:
    """A sound file's bytes, or why there are none."""
    try:
        return read_bytes(path, SOUND), None
    except OSError as error:
        return b"", unreadable(f"{path}: {error.strerror}")
    except MemoryError:
        return b"", unreadable(f"{path}: it needs more memory than there is")
    except Refusal as error:
        return b"", unreadable(error)


def unreadable(why: object) -> str:
    return f"file cannot be read: {why}"


def class_names(schema: pa.Schema, columns: Sequence[str]) -> dict[str, list[str]]:
    """Columns of class numbers to the names of their classes, from the features that published files carry."""
    numbered = [name for name in columns if pa.types.is_integer(schema.field(name).type)]
    if not numbered or b"huggingface" not in (schema.metadata or {}):
        return {}
    from datasets import ClassLabel, Features

    try:
        json_value(schema.metadata[b"huggingface"].decode())
        features = Features.from_arrow_schema(schema)
    except Exception as error:  # whatever the library makes of features that it did not write
        raise SourceError(f"the features stored in its schema cannot be read ({first_line(error)[:200]})") from None
    return {name: features[name].names for name in numbered if isinstance(features[name], ClassLabel)}
