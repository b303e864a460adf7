"""Characters that no name or text may hold: they end writers, terminals and file systems far behind the reader."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
LONGEST_NAME = 4096  # what a path may have on Linux


def text_problem(text: str) -> str | None:
    """Why a text cannot be stored as UTF-8 or passed to a C library; None where it can."""
    if "\0" in text:
        return "holds the character NUL"
    if not text.isascii() and _SURROGATE.search(text):
        return "holds half a character (a lone surrogate)"
    return None


def shown(text: str) -> str:
    """A text that may be printed and stored in its place, the characters in question replaced."""
    return _SURROGATE.sub("\ufffd", text.replace("\0", "\ufffd"))


def values_problem(value: object) -> str | None:
    """`text_problem` of the first text with one, anywhere in a nested value, keys included."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if problem := text_problem(item):
                return f"{shown(item)[:40]!r} {problem}"
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
    return None
