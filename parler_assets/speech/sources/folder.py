"""Recordings in a local folder: sound files with a table of texts, LJSpeech's layout, or a `save_to_disk` folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parler_assets.hub.errors import SourceError
from parler_assets.intake import Refusal
from parler_assets.intake.folders import Folders
from parler_assets.recipe import Columns, FolderSource, digest
from parler_assets.speech.sources.beside import Texts
from parler_assets.speech.sources.by_content import columns_by_content
from parler_assets.speech.sources.named import Named, named
from parler_assets.speech.sources.recordings import SOUNDS, Recordings
from parler_assets.speech.sources.save_to_disk import SavedCorpus, is_saved
from parler_assets.speech.sources.source import RawClip, Source
from parler_assets.speech.sources.tables import chosen_columns, read_file
from parler_assets.speech.sources.text_table import USUAL, Record, TextTable, read_text_table, usual_column

WITHOUT_TEXTS = (
    "write a table of texts with the columns file_name and text beside the recordings, name one in source.metadata, or "
    "put a text beside each of them (a.txt for a.wav); `parler-assets prepare` transcribes what has no text"
)
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.tsv")


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
    accent: str | None = None
    age: str | None = None
    problem: str | None = None

    @property
    def facts(self) -> list[str]:
        """What a change of shows that the clip may have changed."""
        values = (self.id, self.path, self.text, self.speaker, self.style, self.gender)
        known = map(str, (*values, *filter(None, (self.accent, self.age))))
        return [*known, *(["missing"] if self.problem else _state(self.path))]


class FolderCorpus:
    """Sound files and their texts."""

    commits: Mapping[str, str] = {}

    def __init__(self, rows: Sequence[Row], settings: str) -> None:
        self.rows, self.settings = rows, settings

    @property
    def fingerprint(self) -> str:
        return digest(self.settings, [row.facts for row in self.rows])

    @property
    def size(self) -> int:
        """Bytes of all recordings that can be used."""
        return sum(row.path.stat().st_size for row in self.rows if row.problem is None)

    def ids(self) -> list[str]:
        return [row.id for row in self.rows]

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        for row in self.rows[start:stop]:
            data, problem = (b"", row.problem) if row.problem else read_file(row.path)
            yield RawClip(row.id, data, row.text, row.speaker, row.style, row.gender, problem, row.accent, row.age)


def open_folder(source: FolderSource) -> Source:
    """The corpus in a folder.

    Raises:
        SourceError: no such folder, no table of texts, or a table without the columns of the recipe.
    """
    if not source.path.is_dir():
        raise SourceError(f"{source.path}: no such folder; correct source.path in the recipe")
    if is_saved(source.path):
        return SavedCorpus(source)
    return FolderCorpus(_rows(source), digest(source))


def has_texts(folder: Path) -> bool:
    """Whether a folder says what is spoken in its recordings."""
    return is_saved(folder) or has_table(folder) or bool(Texts(Recordings(folder)))


def has_table(folder: Path) -> bool:
    return _table(folder) is not None


def lies_beside(source: FolderSource) -> bool:
    """Whether texts are looked for beside sounds: no table is there, and none is named."""
    return source.metadata is None and not has_table(source.path)


def sound_files(folder: Path) -> FolderCorpus:
    """Every sound file below a folder, without texts; its id is its path without the ending."""
    recordings = Recordings(folder)
    names = recordings.all
    if not names:
        raise SourceError(f"{folder}: no sound files ({', '.join(SOUNDS)}) in it")
    found = [(name, *recordings.find(name)) for name in names]
    rows = [Row(Path(name).with_suffix("").as_posix(), path, problem=problem) for name, path, problem in found]
    return FolderCorpus(rows, str(folder))


def _table(folder: Path) -> Path | None:
    try:
        return Folders(folder).find(TABLES)
    except Refusal:
        return None


def read_table(source: FolderSource) -> tuple[TextTable, dict[str, str], Recordings]:
    """The table of texts of a folder, our names to its columns, and the recordings that it may name."""
    table = source.metadata or _table(source.path) or source.path / TABLES[0]
    if not table.is_file():
        raise SourceError(f"{table}: missing; {WITHOUT_TEXTS}")
    recordings = Recordings(*dict.fromkeys((table.parent, source.path)))
    columns = source.columns
    asked = [name for ours, name in columns.model_dump().items() if ours in columns.model_fields_set and name]
    read = read_text_table(table, asked, recordings.named)
    if not read.records:
        raise SourceError(f"{table}: has no rows")
    return read, _chosen(read, columns, recordings), recordings


def _rows(source: FolderSource) -> list[Row]:
    if lies_beside(source):
        return rows_beside(source)
    table, chosen, recordings = read_table(source)
    rows = [_of_record(record, chosen, table, recordings, source.path) for record in table.records]
    rows = [_with_name(row, source) for row in rows] if source.pattern else rows
    stems = defaultdict(set)
    for row in rows:
        stems[row.id].add(row.path)
    if "id" not in chosen:  # a.wav and a.flac are two recordings
        rows = [replace(row, id=_named(row.path, source.path)) if len(stems[row.id]) > 1 else row for row in rows]
    return rows


def rows_beside(source: FolderSource) -> list[Row]:
    """A row for each recording that the pattern fits, with what its name says and the text beside it.

    Raises:
        SourceError: no recordings, none that the pattern fits, or no text beside any of them.
    """
    recordings = Recordings(source.path)
    texts, fitting = Texts(recordings), [(path, named(path, source)) for path in recordings.all]
    rows = [_beside(path, said, texts, recordings) for path, said in fitting if said]
    if fitting and not rows:
        raise SourceError(f"{source.path}: no recording's path is like {source.pattern!r}, such as {fitting[0][0]}")
    if not any(row.text for row in rows):
        raise SourceError(f"{source.path / TABLES[0]}: missing; {WITHOUT_TEXTS}")
    counts = Counter(row.id for row in rows)
    return [replace(row, id=_named(row.path, source.path)) if counts[row.id] > 1 else row for row in rows]


def _beside(path: str, said: Named, texts: Texts, recordings: Recordings) -> Row:
    file, problem = recordings.find(path)
    values = dict(said.values)
    text, style = values.pop("text", ""), None
    if not text and not said.problem:
        text, style, missing = texts.of(path, said.id)
        problem = problem or missing
    values = {**({"style": style} if style else {}), **values}
    return Row(Path(path).with_suffix("").as_posix(), file, text, **values, problem=said.problem or problem)


def _with_name(row: Row, source: FolderSource) -> Row:
    """What the table does not say of a recording, as its path does."""
    said = named(_named(row.path, source.path), source)
    if said is None or said.problem:
        return row if said is None else replace(row, problem=row.problem or said.problem)
    lacking: dict[str, Any] = {name: value for name, value in said.values.items() if not getattr(row, name)}
    return replace(row, **lacking)


def _of_record(record: Record, chosen: dict[str, str], table: TextTable, recordings: Recordings, folder: Path) -> Row:
    values = {ours: _cell(record.cells, theirs, table.path, record.row) for ours, theirs in chosen.items()}
    audio = values.pop("audio") or ""
    path, problem = recordings.find(audio)
    plain = not table.header and not Path(audio).suffix and audio
    name = values.pop("id", None) or plain or _name(path, folder) or f"row-{record.row:07d}"
    return Row(name, path, values.pop("text") or "", **values, problem=record.problem or problem)


def _chosen(table: TextTable, columns: Columns, recordings: Recordings) -> dict[str, str]:
    """Our names to the table's, by its header or by what stands in it; what the recipe names goes first."""
    asked = {ours: name for ours, name in columns.model_dump().items() if ours in columns.model_fields_set and name}
    if not table.header and not {"audio", "text"} <= set(asked):
        asked = columns_by_content(table, recordings.named) | asked
    usual = {ours: usual_column(ours, table.names) for ours in USUAL if ours not in columns.model_fields_set}
    known = {ours: name for ours, name in usual.items() if name and table.header} | asked
    return chosen_columns(table.names, Columns(**known), str(table.path))


def _cell(record: dict, column: str, table: Path, number: int) -> str | None:
    value = record.get(column)
    if isinstance(value, list | dict):
        raise SourceError(f"{table}, line {number}: column {column} holds {type(value).__name__}, not text")
    return None if value is None or value == "" else str(value)


def _name(path: Path, folder: Path) -> str:
    """Its path in the folder without the ending; empty where a row names no recording."""
    named = Path(_named(path, folder))
    return named.with_suffix("").as_posix() if named.name else ""


def _named(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)).as_posix()


def _state(path: Path) -> list[str]:
    """Size and time of change: what shows that a file was edited without reading it."""
    try:
        status = path.stat()
    except OSError:
        return ["missing"]
    return [str(status.st_size), str(status.st_mtime_ns)]
