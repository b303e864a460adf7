"""Recordings in a local folder: sound files with a table of texts, LJSpeech's layout, or a `save_to_disk` folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from parler_assets.hub.errors import SourceError
from parler_assets.intake import Refusal
from parler_assets.intake.folders import Folders
from parler_assets.intake.tables import Lines, csv_rows, json_rows
from parler_assets.recipe import Columns, FolderSource, digest
from parler_assets.speech.sources.save_to_disk import SavedCorpus, is_saved
from parler_assets.speech.sources.source import RawClip, Source
from parler_assets.speech.sources.tables import chosen_columns, read_file, unreadable

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
    """One recording: where its sound lies and what is known of it.

    `problem` says why the sound is not read; `path` then is the first place where it was looked for.
    """

    id: str
    path: Path
    text: str = ""
    speaker: str | None = None
    style: str | None = None
    gender: str | None = None
    problem: str | None = None

    @property
    def facts(self) -> list[str]:
        """What a change of shows that the clip may have changed."""
        known = map(str, (self.id, self.path, self.text, self.speaker, self.style, self.gender))
        return [*known, *(["missing"] if self.problem else _state(self.path))]


class FolderCorpus:
    """Sound files and their texts."""

    commits: Mapping[str, str] = {}

    def __init__(self, rows: Sequence[Row], settings: str) -> None:
        self.rows, self.settings = rows, settings

    @property
    def fingerprint(self) -> str:
        return digest(self.settings, [row.facts for row in self.rows])

    def ids(self) -> list[str]:
        return [row.id for row in self.rows]

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        for row in self.rows[start:stop]:
            data, problem = (b"", row.problem) if row.problem else read_file(row.path)
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
    table = _table(folder)
    return _names(next(_records(table), {})) if table else []


def has_table(folder: Path) -> bool:
    """Whether a folder says what is spoken in its recordings."""
    return is_saved(folder) or _table(folder) is not None


def sound_files(folder: Path) -> FolderCorpus:
    """Every sound file below a folder, without texts; its id is its path without the ending."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS)
    if not files:
        raise SourceError(f"{folder}: no sound files ({', '.join(SOUNDS)}) in it")
    inside = Folders(folder)
    rows = [_row(path.relative_to(folder), inside) for path in files]
    return FolderCorpus(rows, str(folder))


def _row(name: Path, folders: Folders) -> Row:
    path, problem = _find([name.as_posix()], folders)
    return Row(name.with_suffix("").as_posix(), path, problem=problem)


def _table(folder: Path) -> Path | None:
    try:
        return Folders(folder).find(TABLES)
    except Refusal:
        return None


def _rows(table: Path, source: FolderSource) -> list[Row]:
    records = _records(table)
    first = next(records, None)
    if first is None:
        raise SourceError(f"{table}: has no rows")
    names, folders = _names(first), Folders(table.parent, source.path)
    chosen = chosen_columns(names, _usual_columns(source.columns, names), str(table))
    rows = []
    for number, record in enumerate(chain([first], records), 2):
        values = {ours: _cell(record, theirs, table, number) for ours, theirs in chosen.items()}
        path, problem = _find(_spellings(values.pop("audio") or ""), folders)
        name = values.pop("id", None) or _name(path, source.path)
        rows.append(Row(name, path, values.pop("text") or "", **values, problem=problem))
    return rows


def _names(record: dict) -> list[str]:
    return [name for name in record if name is not None]  # cells too many stand under None


def _records(table: Path) -> Iterator[dict]:
    """The rows of a CSV, TSV, JSONL or LJSpeech table (`id|text` or `id|text|normalised text`, without a header)."""
    try:
        lines = Lines(table)
        if table.suffix == ".jsonl":
            rows: Iterable = json_rows(lines)
        elif "|" in next((line for line in Lines(table) if line.strip()), ""):
            rows = ((lines.row(), _lj_record(line)) for line in lines if line.strip())
        else:
            rows = csv_rows(lines, "\t" if table.suffix == ".tsv" else ",")
        for _, record in rows:
            yield record
    except Refusal as error:
        raise SourceError(f"{table}: cannot be read as a table in UTF-8: {error.within}") from None


def _lj_record(line: str) -> dict:
    name, *texts = line.rstrip("\r\n").split("|")
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


def _spellings(name: str) -> list[str]:
    """What a table may mean: the file with or without its ending, beside it or in LJSpeech's folder."""
    return [place + name + ending for ending in ("", *SOUNDS) for place in ("", "wavs/")]


def _find(names: Sequence[str], folders: Folders) -> tuple[Path, str | None]:
    """The first of these sound files; or the first place tried, and why it is not read."""
    try:
        return folders.find(names), None
    except Refusal as error:
        return folders.roots[0] / names[0], unreadable(error)


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
