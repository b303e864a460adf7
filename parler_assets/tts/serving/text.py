"""A text made ready to be spoken, by one pipeline: markup, signs and invisible characters out, what is said in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from parler_assets.speech.text import spoken_form
from parler_assets.tts.data.texts import has_word
from parler_assets.tts.serving.chunks import CHUNK
from parler_assets.tts.serving.lexicon import Lexicon
from parler_assets.tts.serving.markup import without_markdown, without_tags
from parler_assets.tts.serving.signs import plain_signs
from parler_assets.tts.serving.ssml import SsmlError, divided, marked

MOST_CHARACTERS = 20_000
MOST_OF_A_DESCRIPTION = 1_000  # characters; the corpora's own have one sentence
MOST_SILENCE = 60.0  # seconds of all breaks of a text
_BLOB = re.compile(rf"[!-~]{{{CHUNK + 1},}}")  # a word of Latin signs that is longer than what is said at once
_MARKS = 2  # accents on one letter


class SayError(ValueError):
    """A request that cannot be spoken; the message says what to change."""


@dataclass(frozen=True)
class Passage:
    """Text between two breaks, and the seconds of silence that were asked for behind it."""

    text: str
    pause: float | None = None


@dataclass(frozen=True)
class Script:
    """Passages in order (the first may be empty: silence before the first word), and what was left out, in words."""

    passages: tuple[Passage, ...]
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(passage.text for passage in self.passages if passage.text)


def decodable(text: str) -> str:
    """Any text of a request without what no tokenizer reads: lone surrogates, control and unassigned characters."""
    return "".join(map(_decodable, text))


def _decodable(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Co", "Cn") or (category == "Cc" and character.isspace() and character not in "\n\t"):
        return " "  # an icon, a sign of later years, a line's end
    return "" if category in ("Cc", "Cs") and character not in "\n\t" else character


def clean_description(text: str) -> str:
    """A caller's own description, white space joined.

    Raises:
        SayError: no word in it, or more than 1,000 characters.
    """
    if len(text) > MOST_OF_A_DESCRIPTION:
        raise SayError(f"a description of {len(text)} characters, at most {MOST_OF_A_DESCRIPTION}: shorten it")
    if not any(character.isalpha() for character in text):
        raise SayError("the description has no word: describe the voice in a sentence, or leave it out")
    return " ".join(text.split())


def clean(text: str) -> str:
    """The words of a text, without its breaks; see `script_of`."""
    return script_of(text).text


def script_of(text: str, lexicon: Lexicon | None = None, most: int = MOST_CHARACTERS, language: str = "en") -> Script:
    """What is to be said of a text.

    Raises:
        SayError: nothing is left, more than `most` characters, too long a break.
    """
    if len(text) > most:
        raise SayError(f"text of {len(text)} characters, at most {most}: split it into several requests")
    try:
        plain = without_markdown(without_tags(marked(text)))
    except SsmlError as error:
        raise SayError(str(error)) from None
    remarks: list[str] = []
    passages = [
        Passage(_said(piece, lexicon or Lexicon(), language, remarks), pause) for piece, pause in divided(plain)
    ]
    silence = sum(passage.pause or 0 for passage in passages)
    if silence > MOST_SILENCE:
        raise SayError(f"breaks of {silence:g} s in all, at most {MOST_SILENCE:g}: shorten them")
    if not any(has_word(passage.text) for passage in passages):
        raise SayError(f"nothing to say: {remarks[0] if remarks else 'the text has no letter or digit'}")
    return Script(tuple(passages), tuple(remarks))


def _said(text: str, lexicon: Lexicon, language: str, remarks: list[str]) -> str:
    """One passage in words; what no voice can say at once is added to `remarks`."""
    plain = lexicon.spelled(_without_blobs(plain_signs(text), remarks))
    kept = " ".join(_readable(spoken_form(plain, language)).split())
    return re.sub(r" (?=[)\]]|[.,;:!?]+(?:\s|$))", "", kept)  # where a sign was


def _without_blobs(text: str, remarks: list[str]) -> str:
    remarks += [f"a word of {len(found[0])} characters was left out" for found in _BLOB.finditer(text)]
    return _BLOB.sub("", text)


def _readable(text: str) -> str:
    """The text without what is invisible or joins letters, a space in place of every symbol."""
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        if (category[0] == "M" and marks <= _MARKS and kept and _takes_marks(kept)) or category[0] in "LNPZ":
            kept.append(character)
        elif category[0] not in "CM" or character.isspace():
            kept.append(" ")
    return "".join(kept)


def _takes_marks(kept: list[str]) -> bool:
    """Whether the last letter is of a script that writes vowels as marks; Latin letters have theirs in them."""
    base = next((letter for letter in reversed(kept) if unicodedata.category(letter)[0] != "M"), "")
    return base.isalpha() and "LATIN" not in unicodedata.name(base, "LATIN")
