"""Tables of texts as people's tools wrote them: dialect, header and rows. What a row has wrong stays with the row."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parler_assets.hub.errors import SourceError
from parler_assets.intake import Refusal
from parler_assets.intake.tables import COLUMNS, Lines, json_rows
from parler_assets.recipe.spellings import folded

# Names that tables use for what we need, the best first; compared without regard to case, spaces, _ and -.
USUAL = {
    "id": ("id", "clip id", "utt id", "utterance id"),
    "audio": ("audio", "file name", "filename", "file", "path", "wav", "audio file", "audio filepath", "audio path",
              "wav path", "wav file", "wav filename", "filepath", "file path", "clip", "sound", "recording"),
    "text": ("text", "normalized text", "text normalized", "normalised text", "transcription", "transcript",
             "transcription normalised", "sentence", "utterance", "raw text", "words spoken"),
    "speaker": ("speaker", "speaker id", "speaker name", "spk", "spk id", "client id", "reader"),
    "style": ("style", "emotion", "emo"),
    "gender": ("gender", "sex"),
    "accent": ("accent", "accents", "dialect"),
    "age": ("age", "age group"),
}  # fmt: skip
KNOWN = {name for ours in ("audio", "text") for name in USUAL[ours]}


@dataclass(frozen=True)
class Record:
    """One row: the line that it ends on, its cells by column, and why it cannot be used."""

    row: int
    cells: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class TextTable:
    """`names` are the columns; of a table without a header their numbers from 1."""

    path: Path
    names: list[str]
    header: bool
    records: list[Record]


def read_text_table(path: Path, asked: Sequence[str], named: Callable[[str], bool]) -> TextTable:
    """A CSV, TSV, pipe or JSON lines table.

    Args:
        asked: columns that the recipe names.
        named: whether a cell names a recording; that is how a row is told from a header.

    Raises:
        SourceError: it cannot be read as a table; the message says where and what to do.
    """
    try:
        if path.suffix.lower() in (".jsonl", ".json"):
            rows = [Record(line, record) for line, record in json_rows(Lines(path))]
            names = list(dict.fromkeys(name for row in rows for name in row.cells))
            return TextTable(path, names, True, rows)
        rows_of_cells = list(_delimited(path, named))
    except Refusal as error:
        raise SourceError(f"{path}: cannot be read as a table in UTF-8: {error.within}") from None
    if not rows_of_cells:
        return TextTable(path, [], True, [])
    first = [cell.strip() for cell in rows_of_cells[0][1]]
    header = _is_header(first, asked, named, "|" in _first_line(path))
    width = len(first) if header else Counter(len(cells) for _, cells in rows_of_cells).most_common(1)[0][0]
    names = first if header else [str(number + 1) for number in range(width)]
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise SourceError(f"{path}, line 1: two columns are called {twice[0]!r}: rename one of them")
    records = [_record(path, line, cells, names) for line, cells in rows_of_cells[header:]]
    return TextTable(path, [name for name in names if name], header, records)


def usual_column(ours: str, names: Sequence[str]) -> str | None:
    """The column that goes by one of the usual names."""
    present = {folded(name): name for name in reversed(names)}
    return next((present[name] for name in USUAL[ours] if name in present), None)


def _is_header(cells: list[str], asked: Sequence[str], named: Callable[[str], bool], pipe: bool) -> bool:
    if asked and all(name.isdigit() for name in asked) and not set(asked) & set(cells):
        return False
    if any(name in cells for name in asked):
        return True
    if any(map(named, cells)):
        return False
    return any(folded(cell) in KNOWN for cell in cells) or not pipe


def _record(path: Path, line: int, cells: list[str], names: list[str]) -> Record:
    while len(cells) > len(names) and not cells[-1].strip():
        cells = cells[:-1]
    found = {name: cell for name, cell in zip(names, cells, strict=False) if name}
    if len(cells) == len(names):
        return Record(line, found)
    problem = (
        f"cells of the row: {path.name}, line {line} has {len(cells)} cells where the table has {len(names)} columns: "
        'put a text that holds the delimiter in quotation marks ("), and write an empty cell for what is missing'
    )
    return Record(line, found, problem)


def _first_line(path: Path) -> str:
    return next((line for line in Lines(path) if line.strip()), "")


def _delimited(path: Path, named: Callable[[str], bool]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row that is not empty."""
    mark = _delimiter(_first_line(path), path.suffix.lower() == ".tsv")
    lines = Lines(path)
    rows = _plain_rows(lines, mark) if mark in "|\t" else _quoted_rows(lines, mark, named)
    for line, cells in rows:
        if len(cells) > COLUMNS:
            raise lines.refusal(f"{len(cells):,} columns, and at most {COLUMNS:,} are read")
        if any(cell.strip() for cell in cells):
            yield line, cells


def _delimiter(line: str, tabs: bool) -> str:
    """The mark between cells of the first line: the one that gives the most names known, else the most frequent."""
    if tabs or "|" in line:
        return "\t" if tabs else "|"

    def known(mark: str) -> tuple[int, int]:
        cells = line.strip().split(mark)
        return sum(folded(cell.strip('"')) in KNOWN for cell in cells), len(cells)

    return max((",", ";", "\t"), key=known)


def _plain_rows(lines: Lines, mark: str) -> Iterator[tuple[int, list[str]]]:
    """Quotation marks are part of the text, those apart that a spreadsheet put around a whole cell of a TSV."""
    for line in lines:
        cells = line.rstrip("\r\n").split(mark)
        yield lines.row(), [_unquoted(cell) for cell in cells] if mark == "\t" else cells


def _unquoted(cell: str) -> str:
    inside = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else cell


def _quoted_rows(lines: Lines, mark: str, named: Callable[[str], bool]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            said = str(error)
            hint = ": is a quotation mark left open?" if "limit" in said or "end of data" in said else ""
            raise lines.refusal(f"cannot be read as CSV: {error}{hint}") from None
        for part in (part for cell in cells if "\n" in cell for part in cell.splitlines()[1:]):
            if mark in part and named(part.split(mark)[0]):
                raise lines.refusal("a quotation mark is left open before this line: a cell holds whole rows; close it")
        yield lines.row(), cells
