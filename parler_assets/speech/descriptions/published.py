"""Descriptions that a corpus was published with, joined to its clips by id, or by file name where no id exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

import pyarrow as pa

from parler_assets import storage
from parler_assets.hub.errors import SourceError
from parler_assets.hub.revisions import COMMITS, settled_commit
from parler_assets.intake import Refusal
from parler_assets.intake.names import shown
from parler_assets.intake.tables import Lines, csv_rows, json_rows
from parler_assets.recipe import Columns, Corpus, HubSource, PublishedDescriptions, digest
from parler_assets.speech.descriptions.checking.faults import form_faults
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.descriptions.stage import SCHEMA, STAGE
from parler_assets.speech.sources import published_with
from parler_assets.speech.sources.parquet import names_in, read_columns
from parler_assets.storage import Part, SetAside, StageResult

VERSION = "1"
EXAMPLES = 5
FILE_NAMES = ("file_name", "file", "filename", "path", "audio_path", "wav")
TEXTS = ("text", "transcription", "transcript", "text_normalized", "transcription_normalised")


@dataclass
class Table:
    """A published table: id to description, id to transcript where it has one, and what was odd about it."""

    descriptions: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)
    doubled: int = 0


def join_published(raw: Path, folder: Path, corpus: Corpus, cache: Path, rebuild: bool = False) -> StageResult:
    """Each clip of `raw` with its published description; `manifest.facts` reports every difference between the two.

    A clip without a description is set aside. An id that matches none is tried as a file name without folders and
    ending, if that is unambiguous.

    Raises:
        DescriptionError: the table cannot be read, lacks a column, or matches no clip at all.
    """
    settings = corpus.descriptions
    assert isinstance(settings, PublishedDescriptions)
    manifest = storage.read_manifest(raw)
    version = _version_of(settings, corpus, cache)
    fingerprint = digest(settings, version, manifest.digest, VERSION)
    if settings.repo:  # what was asked for once is what is read
        pinned = settings.model_copy(update={"revision": version})
        corpus = corpus.model_copy(update={"descriptions": pinned})
    join = _Join(raw, corpus, cache)
    return storage.build(folder, fingerprint, len(manifest.shards), join.make, facts=join.facts, rebuild=rebuild)


class _Join:
    def __init__(self, raw: Path, corpus: Corpus, cache: Path) -> None:
        self.raw, self.corpus, self.cache = raw, corpus, cache
        self._table: Table | None = None
        self._stems: dict[str, str | None] = {}

    @property
    def table(self) -> Table:
        if self._table is None:
            self._table = read_published(self.corpus, self.cache)
            for name in self._table.descriptions:
                stem = _stem(name)
                self._stems[stem] = None if stem in self._stems else name
            self._refuse_strangers()
        return self._table

    def _refuse_strangers(self) -> None:
        ids = [name for part in storage.iterate(self.raw, ["id"]) for name in part["id"].to_pylist()]
        if ids and not any(self.match(name) for name in ids):
            theirs = next(iter(self.table.descriptions), "none at all")
            raise DescriptionError(
                f"no clip has a published description: clips are called {ids[0]!r}, descriptions {theirs!r}; check "
                "descriptions.id_column, split and config, and columns.id of the source"
            )

    def match(self, name: str) -> str | None:
        """The published id of a clip."""
        assert self._table is not None
        return name if name in self._table.descriptions else self._stems.get(_stem(name))

    def make(self, index: int) -> Part:
        table = self.table
        part = storage.read_shard(self.raw, storage.read_manifest(self.raw).shards[index], ["id"])
        rows, aside = [], []
        for name in part["id"].to_pylist():
            theirs = self.match(name)
            text = " ".join((table.descriptions[theirs] if theirs else "").split())
            if not text:
                why = "no published description: no row of this id" if theirs is None else "empty published description"
                aside.append(SetAside(name, STAGE, why))
                continue
            rows.append({"id": name, "description": text, "caption": "published", "engine": "published", "attempts": 0})
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def facts(self) -> dict:
        """Both tables against each other: what is on one side only, other transcripts, texts that look damaged."""
        table, found = self.table, _Differences()
        for part in storage.iterate(self.raw, ["id", "written"]) if storage.read_manifest(self.raw).rows else []:
            for name, text in zip(part["id"].to_pylist(), part["written"].to_pylist(), strict=True):
                found.look(name, text, self.match(name), table)
        counted = {"published": len(table.descriptions), "published_ids_twice": table.doubled}
        settings = self.corpus.descriptions
        assert isinstance(settings, PublishedDescriptions)
        return {COMMITS: {settings.repo: settings.revision} if settings.repo else {}, **counted, **found.facts(table)}


@dataclass
class _Differences:
    joined: set[str] = field(default_factory=set)
    by_file_name: int = 0
    missing: list[str] = field(default_factory=list)
    other_text: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def look(self, name: str, text: str, theirs: str | None, table: Table) -> None:
        if theirs is None:
            self.missing.append(name)
            return
        self.joined.add(theirs)
        self.by_file_name += theirs != name
        if theirs in table.texts and _plain(table.texts[theirs]) != _plain(text):
            self.other_text.append(name)
        if faults := form_faults(" ".join(table.descriptions[theirs].split())):
            self.damaged.append(f"{name}: {faults[0]}")

    def facts(self, table: Table) -> dict:
        unused = [name for name in table.descriptions if name not in self.joined]
        sides = {"clips_without_description": self.missing, "descriptions_without_clip": unused,
                 "other_transcript": self.other_text, "looks_damaged": self.damaged}  # fmt: skip
        counted = {name: {"count": len(ids), "examples": ids[:EXAMPLES]} for name, ids in sides.items()}
        return {"joined": len(self.joined), "joined_by_file_name": self.by_file_name, "differences": counted}


# ------------------------------------------------------------------------------------------------------------- reading


def read_published(corpus: Corpus, cache: Path) -> Table:
    """The published descriptions of a corpus: of the Hub, of a local table, or of the source itself."""
    settings = corpus.descriptions
    assert isinstance(settings, PublishedDescriptions)
    if settings.repo is None and settings.path is None:
        return Table(published_with(corpus.source))
    rows = _hub_rows(settings, cache) if settings.repo else _file_rows(settings)
    return _table(rows, str(settings.repo or settings.path))


def _version_of(settings: PublishedDescriptions, corpus: Corpus, cache: Path) -> str:
    """What changes when the published descriptions do."""
    if settings.repo:
        return settled_commit(settings.repo, settings.revision, cache / "hub")
    if settings.path:
        _there(settings.path)
        return storage.sha256_of(settings.path)
    return digest(corpus.source)


def _hub_rows(settings: PublishedDescriptions, cache: Path) -> pa.Table:
    from parler_assets.speech.sources.hub import HubCorpus

    source = HubSource(
        kind="hub", repo=str(settings.repo), config=settings.config, split=settings.split, revision=settings.revision,
        columns=Columns(),
    )  # fmt: skip
    return HubCorpus(source, cache).columns(lambda names: _wanted(names, settings, str(settings.repo)))


def _file_rows(settings: PublishedDescriptions) -> pa.Table:
    path = settings.path
    assert path is not None
    _there(path)
    try:
        if path.suffix == ".parquet":
            return read_columns(path, _wanted(names_in(path), settings, str(path)))
        return _text_rows(path, settings)
    except SourceError as error:
        raise DescriptionError(str(error)) from None
    except (OSError, Refusal) as error:
        said = error.within if isinstance(error, Refusal) else error
        raise DescriptionError(f"{path}: cannot be read as CSV, JSONL or Parquet in UTF-8: {said}") from None


def _text_rows(path: Path, settings: PublishedDescriptions) -> pa.Table:
    lines = Lines(path)
    tabs = "\t" if path.suffix == ".tsv" else ","
    rows = json_rows(lines) if path.suffix in (".jsonl", ".json") else csv_rows(lines, tabs)
    first = next(rows, None)
    if first is None:
        raise DescriptionError(f"{path}: has no rows")
    names = _wanted([name for name in first[1] if name is not None], settings, str(path))
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    for _, record in chain([first], rows):
        for name, column in columns.items():
            value = record.get(name)
            column.append(None if value is None else shown(str(value)))
    return pa.table(columns)


def _there(path: Path) -> None:
    if not path.is_file():
        raise DescriptionError(f"{path}: missing; correct descriptions.path in the recipe")


def _wanted(names: list[str], settings: PublishedDescriptions, origin: str) -> list[str]:
    """Id, description and, where there is one, transcript."""
    if settings.description_column not in names:
        raise DescriptionError(
            f"{origin} has no column {settings.description_column!r}: set descriptions.description_column to one of "
            f"{', '.join(names)}"
        )
    key = next((name for name in (settings.id_column, *FILE_NAMES) if name in names), None)
    if key is None:
        raise DescriptionError(
            f"{origin} has no column {settings.id_column!r}: set descriptions.id_column to one of {', '.join(names)}"
        )
    text = [name for name in TEXTS if name in names and name not in (key, settings.description_column)]
    return [key, settings.description_column, *text[:1]]


def _table(rows: pa.Table, origin: str) -> Table:
    key, description, *text = rows.column_names
    table = Table({})
    for row in _dicts(rows):
        name = str(row[key] if row[key] is not None else "").strip()
        if not name:
            continue
        if name in table.descriptions:
            table.doubled += 1
            continue
        table.descriptions[name] = str(row[description] or "")
        if text and row[text[0]] is not None:
            table.texts[name] = str(row[text[0]])
    if not table.descriptions:
        raise DescriptionError(f"{origin}: no row has an id in column {key!r}")
    return table


def _dicts(rows: pa.Table) -> Iterator[Mapping]:
    for batch in rows.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _plain(text: str | None) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in (text or "").lower()).split())
