"""Texts that are not ours, as Markdown shows them."""

from __future__ import annotations

import re
from typing import Any

# What opens an image, a link, HTML, code or emphasis. Brackets without `[` before them and `_` inside a word are plain.
_MARKS = re.compile(r"[\\`*\[\]#~<>&]|(?<![^\W_])_|_(?![^\W_])")
_ADDRESS = re.compile(r"(?i)(https?|ftp|www|mailto)(?=[:.])")  # made a link without any mark


def escaped(text: Any) -> str:
    """One line of text for a cell or a sentence: a name from somebody's data is no image, link or markup.

    An image's address would be fetched when the page is opened.
    """
    line = " ".join(str(text).split()).replace("|", "/")
    return _ADDRESS.sub(r"\1&#8203;", _MARKS.sub(lambda found: f"&#{ord(found[0])};", line))


def escaped_lines(text: Any) -> str:
    """`escaped` where paragraphs and lists may stay what they are."""
    return "\n".join(escaped(line) for line in str(text).splitlines())
