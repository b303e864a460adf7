"""JSON with limits on depth and on the digits of a number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from parler_assets.intake.files import DOCUMENT, read_text
from parler_assets.intake.names import values_problem
from parler_assets.intake.refusal import Refusal

DEPTH = 64
DIGITS = 40
_MARK = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_LONG = re.compile(rf"\d{{{DIGITS + 1}}}")


def read_json(path: Path, most: int = DOCUMENT) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: no JSON, no object, too large, too deep, or with characters that cannot be stored.
    """
    content = json_value(read_text(path, most), path)
    if not isinstance(content, dict):
        raise Refusal(f"holds {_kind(content)}, not an object", path, 1)
    return content


def json_value(text: str, origin: Path | str | None = None, line: int = 1) -> Any:
    """The value in a JSON text whose first line is line `line` of `origin`.

    Raises:
        Refusal: as `read_json` does.
    """
    _refuse_depth(text, origin, line)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"not JSON: {error.msg}, column {error.colno}", origin, line + error.lineno - 1) from None
    except _LongNumber:
        found = _LONG.search(text)
        where = line + text.count("\n", 0, found.start() if found else 0)
        raise Refusal(f"a number of more than {DIGITS} digits", origin, where) from None
    if "\\u" in text and (problem := values_problem(value)):
        raise Refusal(problem, origin, line)
    return value


def json_row(text: str, origin: Path | str | None, line: int) -> dict[str, Any]:
    """The object on one line of JSON lines; raises as `json_value` does. Its texts may hold any character."""
    _refuse_depth(text, origin, line)
    try:
        row = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"not JSON: {error.msg}, column {error.colno}", origin, line) from None
    except _LongNumber:
        raise Refusal(f"a number of more than {DIGITS} digits", origin, line) from None
    if not isinstance(row, dict):
        raise Refusal(f'holds {_kind(row)}; a row is an object, such as {{"file_name": ...}}', origin, line)
    return row


class _LongNumber(ValueError):
    pass


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _LongNumber
    return int(digits)


_DECODER = json.JSONDecoder(parse_int=_integer)


def _refuse_depth(text: str, origin: Path | str | None, line: int) -> None:
    """Brackets are only followed where there are enough of them to be too deep."""
    if text.count("[") + text.count("{") <= DEPTH:
        return
    depth, inside = 0, False
    for mark in _MARK.finditer(text):
        character = mark.group()
        if character == '"':
            inside = not inside
        elif not inside and character in "[{":
            depth += 1
            if depth > DEPTH:
                raise Refusal(f"nested more than {DEPTH} deep", origin, line + text.count("\n", 0, mark.start()))
        elif not inside and character in "]}":
            depth -= 1


def _kind(value: Any) -> str:
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
