"""Recordings in a local folder: sound files with a table of texts, LJSpeech's layout, or a `save_to_disk` folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parler_assets.recipe import Columns, FolderSource, digest
from parler_assets.speech.sources.save_to_disk import SavedCorpus, is_saved
from parler_assets.speech.sources.source import RawClip, Source, SourceError
from parler_assets.speech.sources.tables import chosen_columns, read_file

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus")
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.tsv")
# Names that tables commonly use; looked for where the recipe names no column itself.
USUAL = {
    "audio": ("file_name", "file", "path", "wav", "filename"),
    "text": ("transcription", "transcript", "sentence"),
    "speaker": ("speaker",),
    "style": ("style",),
    "gender": ("gender",),
}


@dataclass(frozen=True)
class Row:
    """One recording: where its sound lies and what is known of it."""

    id: str
    path: Path
    text: str = ""
    speaker: str | None = None
    style: str | None = None
    gender: str | None = None


class FolderCorpus:
    """Sound files and their texts."""

    def __init__(self, rows: Sequence[Row], settings: str) -> None:
        self.rows, self.settings = rows, settings

    @property
    def fingerprint(self) -> str:
        files = [[*map(str, vars(row).values()), *_state(row.path)] for row in self.rows]
        return digest(self.settings, files)

    def ids(self) -> list[str]:
        return [row.id for row in self.rows]

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        for row in self.rows[start:stop]:
            data, problem = read_file(row.path)
            yield RawClip(row.id, data, row.text, row.speaker, row.style, row.gender, problem)


def open_folder(source: FolderSource) -> Source:
    """The corpus in a folder.

    Raises:
        SourceError: no such folder, no table of texts, or a table without the columns of the recipe.
    """
    if not source.path.is_dir():
        raise SourceError(f"{source.path}: no such folder; correct source.path in the recipe")
    if is_saved(source.path):
        return SavedCorpus(source)
    table = source.metadata or _table(source.path) or source.path / TABLES[0]
    if not table.is_file():
        raise SourceError(
            f"{table}: missing; write a table of texts with the columns file_name and text "
            "beside the recordings, or name one in source.metadata"
        )
    return FolderCorpus(_rows(table, source), digest(source))


def column_names(folder: Path) -> list[str]:
    """The columns of the table of texts in a folder, as it names them; empty where there is no such table."""
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    records = _records(table) if table else []
    return list(records[0]) if records else []


def has_table(folder: Path) -> bool:
    """Whether a folder says what is spoken in its recordings."""
    return is_saved(folder) or _table(folder) is not None


def sound_files(folder: Path) -> FolderCorpus:
    """Every sound file below a folder, without texts; its id is its path without the ending."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS)
    if not files:
        raise SourceError(f"{folder}: no sound files ({', '.join(SOUNDS)}) in it")
    return FolderCorpus([Row(path.relative_to(folder).with_suffix("").as_posix(), path) for path in files], str(folder))


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).is_file()), None)


def _rows(table: Path, source: FolderSource) -> list[Row]:
    records = _records(table)
    if not records:
        raise SourceError(f"{table}: has no rows")
    chosen = chosen_columns(list(records[0]), _usual_columns(source.columns, list(records[0])), str(table))
    rows = []
    for number, record in enumerate(records, 2):
        values = {ours: _cell(record, theirs, table, number) for ours, theirs in chosen.items()}
        path = _find(values.pop("audio") or "", (table.parent, source.path, source.path / "wavs"))
        name = values.pop("id", None) or _name(path, source.path)
        rows.append(Row(name, path, values.pop("text") or "", **values))
    return rows


def _records(table: Path) -> list[dict]:
    """The rows of a CSV, TSV, JSONL or LJSpeech table (`id|text` or `id|text|normalised text`, without a header)."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        lines = [line for line in text.split("\n") if line.strip()]
        if table.suffix == ".jsonl":
            return [json.loads(line) for line in lines]
        if lines and "|" in lines[0]:
            return [_lj_record(line) for line in lines]
        return list(csv.DictReader(io.StringIO(text), delimiter="\t" if table.suffix == ".tsv" else ","))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise SourceError(f"{table}: cannot be read as a table in UTF-8: {error}") from None


def _lj_record(line: str) -> dict:
    name, *texts = line.rstrip("\r").split("|")
    return {"id": name, "audio": name, "text": texts[-1] if texts else ""}


def _usual_columns(columns: Columns, names: Sequence[str]) -> Columns:
    """The recipe's columns, with usual names where it keeps a default that the table does not have."""
    absent = [o for o in USUAL if o not in columns.model_fields_set and getattr(columns, o) not in names]
    found = {ours: next((name for name in USUAL[ours] if name in names), None) for ours in absent}
    return columns.model_copy(update={ours: name for ours, name in found.items() if name})


def _cell(record: dict, column: str, table: Path, number: int) -> str | None:
    value = record.get(column)
    if isinstance(value, list | dict):
        raise SourceError(f"{table}, row {number}: column {column} holds {type(value).__name__}, not text")
    return None if value is None or value == "" else str(value)


def _find(name: str, folders: Sequence[Path]) -> Path:
    """The sound file that a table names, with or without its ending; the first place tried where there is none."""
    tried = [folder / (name + ending) for ending in ("", *SOUNDS) for folder in folders]
    return next((path for path in tried if path.is_file()), tried[0])


def _name(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return inside.with_suffix("").as_posix()


def _state(path: Path) -> list[str]:
    """Size and time of change: what shows that a file was edited without reading it."""
    try:
        status = path.stat()
    except OSError:
        return ["missing"]
    return [str(status.st_size), str(status.st_mtime_ns)]
