"""Tables that somebody wrote to do harm, and good ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from parler_assets.intake.tables import Lines, csv_rows, json_rows
from tests.support.bounded import outcome, refusal


def last_row(path: Path, rows: Callable) -> object:
    """Every row is read and let go again."""
    return deque(rows(Lines(path)), maxlen=1).pop()


ROW = '{"file_name": "a.wav"}\n'
HOSTILE = {
    "deep": (json_rows, ROW + '{"a": ' + "[" * 50_000 + "\n", 2, "deep"),
    "long number": (json_rows, ROW + ROW + '{"a": ' + "1" * 5000 + "}\n", 3, "digits"),
    "a list": (json_rows, ROW + "[1, 2]\n", 2, "a list"),
    "a number": (json_rows, ROW + "\n17\n", 3, "a number"),
    "null": (json_rows, "null\n", 1, "null"),
    "text": (json_rows, '"a"\n', 1, "a text"),
    "no JSON": (json_rows, ROW + '{"a": \n', 2, "not JSON"),
    "no line end": (json_rows, '{"a": "' + "x" * 5_000_000, 1, "1 MiB"),
    "long cell": (csv_rows, "a,b\n1," + "x" * 200_000 + "\n", 2, "field"),
    "open quote": (csv_rows, "a,b\n" + '"' + "x,\n" * 500_000, None, "limit"),
    "endless row": (csv_rows, "a,b\n" + '"x\n",' * 500_000, None, "1 MiB"),
    "columns": (csv_rows, "a," * 5_000 + "\n" + "1\n" * 1000, 1, "columns"),
    "old line ends": (csv_rows, "a,b\r1,2\r3,4\r", 1, "CSV"),
    "other encoding": (csv_rows, b"a,b\n1,\xe4\n", 2, "UTF-8"),
    "UTF-16": (csv_rows, "a,b\n1,2".encode("utf-16"), 1, "UTF-8"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tables_are_refused_by_file_and_line(case: str, tmp_path: Path):
    rows, text, line, problem = HOSTILE[case]
    table = tmp_path / "metadata"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refusal(last_row, table, rows)
    assert problem in said
    assert said.startswith(f"{table}, line {line or ''}")
    assert len(said) < 400


def test_a_table_of_many_rows_is_read_one_by_one(tmp_path: Path):
    table = tmp_path / "metadata.jsonl"
    table.write_text('{"a": [[], [], [], []]}\n' * 200_000)
    assert outcome(last_row, table, json_rows) == ("read", "(200000, {'a': [[], [], [], []]})")


def test_rows_have_the_line_that_they_end_on(tmp_path: Path):
    table = tmp_path / "metadata.csv"
    table.write_bytes('\ufeffa,b\r\n1,"two\r\nlines"\r\n\r\n3\r\n4,5,6\r\n'.encode())
    assert list(csv_rows(Lines(table))) == [
        (3, {"a": "1", "b": "two\r\nlines"}),
        (5, {"a": "3", "b": None}),
        (6, {"a": "4", "b": "5", None: ["6"]}),
    ]
    table.write_text('\n{"a": "\\ud800"}\n \n{"a": "\u2028"}', encoding="utf-8")
    assert list(json_rows(Lines(table))) == [(2, {"a": "\ud800"}), (4, {"a": "\u2028"})]
    table.write_text("")
    assert list(csv_rows(Lines(table))) == []
