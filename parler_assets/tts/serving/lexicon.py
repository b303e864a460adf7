"""A pronunciation dictionary: words, and how they are to be spelled so that the model says them rightly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.yaml_documents import yaml_value

MOST, LONGEST = 10_000, 200  # entries; characters of a word or its spelling


class LexiconError(ValueError):
    """A dictionary that cannot be used; the message names the entry."""


class Lexicon:
    """Words by their spelling. An entry in small letters holds for any case, another for just its own."""

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self.entries = dict(entries or {})
        for word, spelling in self.entries.items():
            _check(word, spelling)
        longest_first = sorted(self.entries, key=len, reverse=True)
        exact = [re.escape(word) if word != word.lower() else f"(?i:{re.escape(word)})" for word in longest_first]
        self._words = re.compile(rf"(?<!\w)(?:{'|'.join(exact)})(?!\w)") if exact else None

    def spelled(self, text: str) -> str:
        """The text with these words as they are to be said."""
        if self._words is None:
            return text
        return self._words.sub(lambda found: self.entries.get(found[0]) or self.entries[found[0].lower()], text)


def read_lexicon(path: Path) -> dict[str, str]:
    """A YAML file of `word: spelling`.

    Raises:
        LexiconError: it cannot be read, or an entry is no pair of texts.
    """
    try:
        entries = yaml_value(read_text(path), path)
    except FileNotFoundError:
        raise LexiconError(f"{path}: there is no such file") from None
    except Refusal as error:
        raise LexiconError(str(error)) from None
    if not isinstance(entries, dict):
        raise LexiconError(f"{path}: write one `word: spelling` a line")
    for word, spelling in entries.items():
        if not isinstance(word, str) or not isinstance(spelling, str):
            raise LexiconError(f"{path}: {word!r}: {spelling!r} is no pair of texts: put both in quotation marks")
    try:
        Lexicon(entries)
    except LexiconError as error:
        raise LexiconError(f"{path}: {error}") from None
    return entries


def _check(word: str, spelling: str) -> None:
    if not word.strip() or not spelling.strip() or max(len(word), len(spelling)) > LONGEST:
        raise LexiconError(f"entry {word[:40]!r}: word and spelling have 1 to {LONGEST} characters")
