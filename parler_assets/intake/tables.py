"""Tables of texts, read row by row: CSV, TSV and JSON lines with limits on lines, rows and columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parler_assets.intake.files import MIB, TABLE, open_file
from parler_assets.intake.json_documents import json_row
from parler_assets.intake.refusal import Refusal

ROW = MIB  # bytes of one row, and of one line
ROWS = 20_000_000
COLUMNS = 1000


class Lines(Iterator[str]):
    """The lines of a UTF-8 file with their ends. `number` is that of the last line given.

    A reader says with `row()` that one more row is complete; what it takes for a row is limited.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: no regular file, too large, a line or row too long, too many rows, or not UTF-8.
    """

    def __init__(self, path: Path, most: int = TABLE) -> None:
        self.path, self.number, self._rows, self._taken = path, 0, 0, 0
        self._file = open_file(path, most)

    def __next__(self) -> str:
        data = b"" if self._file.closed else self._file.readline(ROW + 1)
        if not data:
            self._file.close()
            raise StopIteration
        self.number += 1
        self._taken += len(data)
        if self._taken > ROW:
            raise self.refusal(f"a row of more than {ROW // MIB} MiB: is a quotation mark left open?")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.refusal(f"not UTF-8 ({error.reason}): save the table as UTF-8") from None
        return text.removeprefix("\ufeff") if self.number == 1 else text

    def row(self) -> int:
        """Count a row that is complete; the line that it ended on."""
        self._taken, self._rows = 0, self._rows + 1
        if self._rows > ROWS:
            raise self.refusal(f"more than {ROWS:,} rows: split the table")
        return self.number

    def refusal(self, problem: str) -> Refusal:
        return Refusal(problem, self.path, self.number)


def json_rows(lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of JSON lines, empty lines left out."""
    for line in lines:
        number = lines.row()
        if line.strip():
            yield number, json_row(line, lines.path, number)


def csv_rows(lines: Lines, delimiter: str = ",") -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, column to cell) of a CSV table whose first row names the columns, empty rows left out.

    As `csv.DictReader` has it: cells that a row lacks are None, and cells too many are a list under the key None.
    """
    reader = csv.DictReader(lines, delimiter=delimiter)
    while True:
        try:
            names = reader.fieldnames or ()
            if len(names) > COLUMNS:
                raise lines.refusal(f"{len(names):,} columns, and at most {COLUMNS:,} are read")
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            hint = ": is a quotation mark left open?" if "field limit" in str(error) else ""
            raise lines.refusal(f"cannot be read as CSV: {error}{hint}") from None
        yield lines.row(), record
