"""Data sets on the Hugging Face Hub, read from their Parquet files with audio bytes kept as published.

A branch is asked for its commit whenever the raw data set is materialized; without a network the last answer counts.
Files come through the Hub's own cache (HF_HOME and HF_HUB_OFFLINE work as usual), only those that hold the chosen rows,
and never through a loading script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from parler_assets.hub.errors import SourceError
from parler_assets.hub.files import CONVERTED, RepoFiles
from parler_assets.hub.revisions import ask_commit, is_commit, settled_commit
from parler_assets.recipe import HubSource, digest
from parler_assets.speech.sources.parquet import names_in, read_columns, read_group, rows_of_groups
from parler_assets.speech.sources.source import RawClip
from parler_assets.speech.sources.tables import chosen_columns, clips_of, ids_of


def current_revision(source: HubSource) -> str:
    """The commit that the source's revision means now, asked of the Hub."""
    return source.revision if is_commit(source.revision) else ask_commit(source.repo, source.revision)


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one Parquet file."""

    path: Path
    start: int
    stop: int


class HubCorpus:
    """One split of a data set on the Hub, or slices of splits."""

    def __init__(self, source: HubSource, cache: Path) -> None:
        self.source, self.cache = source, cache
        self.origin = f"{source.repo} ({source.config}, {source.split})"
        self._held: tuple[Path, int, pa.Table] | None = None
        self._copied: str | None = None

    @cached_property
    def commit(self) -> str:
        return settled_commit(self.source.repo, self.source.revision, self.cache / "hub")

    @property
    def commits(self) -> dict[str, str]:
        """Of the repository, and of the Hub's own Parquet copy where rows were read from that."""
        repo = self.source.repo
        return {repo: self.commit} | ({f"{repo}:{CONVERTED}": self._copied} if self._copied else {})

    @property
    def fingerprint(self) -> str:
        return digest(self.source, self.commit)

    def ids(self) -> list[str]:
        column = self._chosen.get("id") or self._chosen["text"]
        found: list[str] = []
        for piece in self._pieces:
            table = read_columns(piece.path, [column]).slice(piece.start, piece.stop - piece.start)
            found += ids_of(table, self._chosen, len(found))
        return found

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        first = 0
        for piece in self._pieces:
            low, high = max(start - first, 0) + piece.start, min(stop - first + piece.start, piece.stop)
            for table, row in self._tables(piece.path, low, high):
                yield from clips_of(table, self._chosen, first + row - piece.start)
            first += piece.stop - piece.start

    @property
    def size(self) -> int:
        """Bytes of the clips, by their share of the files' rows."""
        shares = {piece: (piece.stop - piece.start) / max(sum(rows_of_groups(piece.path)), 1) for piece in self._pieces}
        return int(sum(piece.path.stat().st_size * share for piece, share in shares.items()))

    def columns(self, choose: Callable[[list[str]], list[str]]) -> pa.Table:
        """Some columns of all rows, in order: those that `choose` takes from the names there are."""
        if not self._pieces:
            raise SourceError(f"{self.origin}: this split has no rows")
        names = choose(names_in(self._pieces[0].path))
        parts = [read_columns(p.path, names).slice(p.start, p.stop - p.start) for p in self._pieces]
        return pa.concat_tables(parts, promote_options="permissive")

    @cached_property
    def _pieces(self) -> list[Piece]:
        """Where the corpus's rows lie, in order. Fetches the files it needs, in order, and no further one."""
        files = RepoFiles(self.source.repo, self.commit, self.cache / "hub")
        return [piece for split, start, stop in self._spans(files) for piece in self._cut(files, split, start, stop)]

    def _spans(self, files: RepoFiles) -> list[tuple[str, int, int]]:
        """The recipe's split, such as `train[:20%]`, as (split, first row, end), by the rules of `datasets`."""
        from datasets import ReadInstruction

        names = {part.split("[")[0].strip() for part in self.source.split.split("+")}
        sizes = {name: self._split_rows(files, name) for name in names}
        try:
            parts = ReadInstruction.from_spec(self.source.split).to_absolute(sizes)
        except (ValueError, AssertionError) as error:
            raise SourceError(f"{self.origin}: this split cannot be read: {error}") from None
        return [(p.splitname, p.from_ or 0, sizes[p.splitname] if p.to is None else p.to) for p in parts]

    def _split_rows(self, files: RepoFiles, split: str) -> int:
        known = files.rows_of(self.source.config, split)
        if known is not None:
            return known
        home, names = files.of_split(self.source.config, split)
        return sum(sum(rows_of_groups(home.fetch(name))) for name in names)

    def _cut(self, files: RepoFiles, split: str, start: int, stop: int) -> Iterator[Piece]:
        home, names = files.of_split(self.source.config, split)
        self._copied = home.commit if home is not files else self._copied
        first = 0
        for name in names:
            if first >= stop:
                return
            path = home.fetch(name)
            rows = sum(rows_of_groups(path))
            if first + rows > start:
                yield Piece(path, max(start - first, 0), min(stop - first, rows))
            first += rows

    @cached_property
    def _chosen(self) -> dict[str, str]:
        if not self._pieces:
            raise SourceError(f"{self.origin}: this split has no rows")
        return chosen_columns(names_in(self._pieces[0].path), self.source.columns, self.origin)

    def _tables(self, path: Path, start: int, stop: int) -> Iterator[tuple[pa.Table, int]]:
        """Rows `start` to `stop` of a file, one row group at a time, each with the number of its first row."""
        if start >= stop:
            return
        sizes = rows_of_groups(path)
        for group, (size, end) in enumerate(zip(sizes, accumulate(sizes), strict=True)):
            low, high = max(start, end - size), min(stop, end)
            if low < high:
                yield self._group(path, group).slice(low - end + size, high - low), low

    def _group(self, path: Path, group: int) -> pa.Table:
        """A row group's columns; the last one is kept, as neighbouring shards often share it."""
        if self._held is None or self._held[:2] != (path, group):
            columns = list(self._chosen.values())
            self._held = path, group, read_group(path, group, columns)
        return self._held[2]
