"""Letters that a checkpoint's tokenizer does not know: without their accents where it knows those, else named."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Protocol

from parler_assets.tts.serving.text import SayError

SHOWN = 10


class Knows(Protocol):
    def unknown(self, letters: Iterable[str]) -> set[str]: ...


class Letters:
    """What one voice knows of a text.

    Raises:
        SayError: more than half of the text's letters are unknown.
    """

    def __init__(self, voice: Knows, text: str) -> None:
        letters = [character for character in text if character.isalpha()]
        unknown = voice.unknown(set(letters))
        plain = {letter: unicodedata.normalize("NFD", letter)[0] for letter in unknown}
        still = voice.unknown(set(plain.values()))
        self._plain = {letter: base for letter, base in plain.items() if base not in still}
        self.lost = unknown - self._plain.keys()
        if sum(letter in self.lost for letter in letters) > len(letters) / 2:
            raise SayError(
                f"this checkpoint does not know the letters of this text ({self._shown()}): it is in another script"
            )

    def known(self, text: str) -> str:
        """The text with known letters in place of those with unknown accents."""
        return "".join(self._plain.get(character, character) for character in text)

    @property
    def remarks(self) -> list[str]:
        return [f"letters that this checkpoint does not know: {self._shown()}"] if self.lost else []

    def _shown(self) -> str:
        shown = sorted(self.lost)
        return " ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")
