"""A text made ready to be spoken: markup taken out, and cut into chunks that the model can say at once."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

MOST_CHARACTERS = 20_000
MOST_OF_A_DESCRIPTION = 1_000  # characters; the corpora's own have one sentence
CHUNK = 220  # characters spoken at once, at most
ENDS = (".", "!", "?", ";", ":")  # of what counts as a sentence


class SayError(ValueError):
    """A request that cannot be spoken; the message says what to change."""


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
    """The text as the model can read it: markup and emoji taken out, white space joined.

    Raises:
        SayError: nothing is left, more than 20,000 characters, one endless word, or mostly another script.
    """
    if len(text) > MOST_CHARACTERS:
        raise SayError(f"text of {len(text)} characters, at most {MOST_CHARACTERS}: split it into several requests")
    plain = unicodedata.normalize("NFKC", html.unescape(re.sub(r"<[^<>]*>", " ", text)))
    kept = "".join(c if unicodedata.category(c)[0] in "LNPZ" or c in "$%&+=" else " " for c in plain)
    kept = " ".join(kept.split())
    longest = max(map(len, kept.split()), default=0)
    if longest > CHUNK:
        raise SayError(f"a word of {longest} characters, at most {CHUNK}: put spaces between words")
    letters = [c for c in kept if c.isalpha()]
    if not letters and not any(c.isdigit() for c in kept):
        raise SayError("nothing to say: the text has no letter or digit")
    foreign = sum("LATIN" not in unicodedata.name(c, "") for c in letters)
    if letters and foreign > len(letters) / 2:
        raise SayError("this checkpoint reads English in Latin letters; the text is mostly in another script")
    return kept


def chunks(text: str, most: int = CHUNK) -> list[str]:
    """Sentences joined up to `most` characters; a longer sentence is cut at a comma or a space, nothing is lost."""
    pieces: list[str] = []
    for sentence in re.split(rf"(?<=[{''.join(ENDS)}])\s+", text):
        for part in _cut(sentence, most):
            if pieces and len(pieces[-1]) + 1 + len(part) <= most:
                pieces[-1] += f" {part}"
            else:
                pieces.append(part)
    return pieces


def opened(text: str, most: int) -> list[str]:
    """The first sentences, up to half of `most` characters, then chunks that have room beside them.

    Nothing where already the first sentence is longer: cutting it would be heard more than a change of voice.
    """
    first = chunks(text, most // 2)[0]
    if not first.endswith(ENDS):
        return []
    return [first, *chunks(text[len(first) :].strip(), min(CHUNK, most - len(first) - 1))]


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        at = max(sentence.rfind(mark, most // 2, most) for mark in (", ", " "))
        at = at + 1 if at >= 0 else most
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
