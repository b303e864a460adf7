"""Speech on demand: a text, a voice and a style in, samples out. Shared by `parler-assets say` and the server.

Long texts are spoken sentence by sentence, since the models were trained on clips of at most half a minute.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from parler_assets.recipe import Describing, Evaluation
from parler_assets.tts.prompts import RECORDING

MOST_CHARACTERS = 20_000
CHUNK = 220  # characters spoken at once
PAUSE = 0.18  # seconds between chunks


class SayError(ValueError):
    """A request that cannot be spoken; the message says what to change."""


class Speaks(Protocol):
    """What `Voice` offers here."""

    rate: int

    def speak(self, texts: Sequence[str], descriptions: Sequence[str], settings: Evaluation, seed: int) -> list: ...


@dataclass(frozen=True)
class Request:
    """What to say and how. `description` replaces the sentence made from voice, style and rate."""

    text: str
    voice: str
    style: str = "default"
    rate: str = "moderate speed"
    description: str | None = None


class Sayer:
    """Speaks requests with a checkpoint; knows the recipe's voices and styles."""

    def __init__(self, voice: Speaks, settings: Evaluation, describing: Describing) -> None:
        self.voice, self.settings, self.describing = voice, settings, describing

    @property
    def voices(self) -> list[str]:
        return self.settings.speakers

    def check(self, request: Request) -> tuple[list[str], str]:
        """The chunks to speak and their description.

        Raises:
            SayError: nothing to say, too long, an unknown voice or style, a script the model never saw.
        """
        named = {name.lower(): name for name in self.voices}
        if request.voice.lower() not in named:
            raise SayError(f"unknown voice {request.voice!r}: this checkpoint has {', '.join(self.voices)}")
        if request.style not in self.settings.styles:
            raise SayError(f"unknown style {request.style!r}: this checkpoint has {', '.join(self.settings.styles)}")
        return chunks(readable(request.text)), request.description or self._describe(request, named)

    def _describe(self, request: Request, named: dict[str, str]) -> str:
        from parler_assets.speech.descriptions import describe_attributes

        asked = {"name": named[request.voice.lower()], "style": request.style, "speaking_rate": request.rate}
        return describe_attributes({**asked, **RECORDING}, settings=self.describing)

    def say(self, request: Request, seed: int | None = None) -> np.ndarray:
        """All of a request's samples (N,) float32 at `voice.rate`."""
        return np.concatenate(list(self.stream(request, seed)))

    def stream(self, request: Request, seed: int | None = None) -> Iterator[np.ndarray]:
        """A request's samples chunk by chunk, as they are generated."""
        pieces, description = self.check(request)
        return self._spoken(pieces, description, self.settings.seed if seed is None else seed)

    def _spoken(self, pieces: list[str], description: str, seed: int) -> Iterator[np.ndarray]:
        pause = np.zeros(int(PAUSE * self.voice.rate), np.float32)
        for place, piece in enumerate(pieces):
            (said,) = self.voice.speak([piece], [description], self.settings, seed)
            yield said.samples if place == len(pieces) - 1 else np.concatenate([said.samples, pause])


def load_sayer(checkpoint: Path, settings: Evaluation, describing: Describing, device: str = "cpu") -> Sayer:
    from parler_assets.tts.voice import Voice

    return Sayer(Voice(checkpoint, device), settings, describing)


def readable(text: str) -> str:
    """The text as the model can read it: markup and emoji taken out, white space joined.

    Raises:
        SayError: nothing is left, more than 20,000 characters, or mostly another script.
    """
    if len(text) > MOST_CHARACTERS:
        raise SayError(f"text of {len(text)} characters, at most {MOST_CHARACTERS}: split it into several requests")
    plain = unicodedata.normalize("NFKC", re.sub(r"<[^<>]*>", " ", text))
    kept = "".join(c if unicodedata.category(c)[0] in "LNPZ" or c in "$%&+=" else " " for c in plain)
    kept = " ".join(kept.split())
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
    for sentence in re.split(r"(?<=[.!?;:])\s+", text):
        for part in _cut(sentence, most):
            if pieces and len(pieces[-1]) + 1 + len(part) <= most:
                pieces[-1] += f" {part}"
            else:
                pieces.append(part)
    return pieces


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        at = max(sentence.rfind(mark, most // 2, most) for mark in (", ", " "))
        at = at + 1 if at >= 0 else most
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
