"""A request for speech, how it is spoken in parts, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parler_assets.tts.serving.remarks import remark_on
from parler_assets.tts.serving.text import decodable

if TYPE_CHECKING:
    from parler_assets.tts.serving.kept_voices import KeptVoice
    from parler_assets.tts.synthesis.voice import Utterance, VoicePrompt

PAUSE = 0.18  # seconds between parts


@dataclass(frozen=True)
class Request:
    """What to say and how.

    Attributes:
        voice: a speaker of the checkpoint; where `like` is given, the name of whom it sounds like is not needed.
        tone: how it is to be said, in the caller's words, added to the description of voice, style and rate.
        description: replaces all of that sentence.
        seed: of the first part; the recipe's by default.
        like: speech that this continues from.
    """

    text: str
    voice: str
    style: str = "default"
    rate: str = "moderate speed"
    description: str | None = None
    tone: str | None = None
    seed: int | None = None
    like: KeptVoice | None = None

    def __post_init__(self) -> None:
        for name in ("text", "voice", "style", "rate", "description", "tone"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, decodable(value))


@dataclass(frozen=True)
class SpeechResult:
    """Samples (N,) float32 at `rate`, how long it took, and what is wrong with them in words.

    `parts` are the texts that were spoken, `spans` where each lies in the samples, in seconds; `first` is what other
    speech can continue from to keep the voice, where the first part serves for that.
    """

    samples: np.ndarray
    rate: int
    description: str
    seconds: float
    remarks: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()
    first: VoicePrompt | None = None

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class Plan:
    """How a request is spoken: its parts in order; where `carried`, the others continue from the first.

    Attributes:
        rate: what the description asks for, None where a caller wrote it.
        pauses: seconds of silence before each part and, last, behind all of them.
        remarks: what of the text could not be used.
        like: given speech that every part continues from.
    """

    parts: list[str]
    description: str
    rate: str | None
    carried: bool
    pauses: tuple[float, ...] = ()
    seed: int | None = None
    remarks: tuple[str, ...] = ()
    like: VoicePrompt | None = None


@dataclass(frozen=True)
class Part:
    """One part of a plan as it is handed to the model."""

    text: str
    description: str
    seed: int
    rate: str | None = None


def remarks_on(plan: Plan, spoken: Sequence[Utterance]) -> list[str]:
    """What could not be used of a text, and what is wrong with its parts."""
    pairs = enumerate(zip(plan.parts, spoken, strict=True), 1)
    found = [remark_on(text, one, plan.rate, place, len(spoken)) for place, (text, one) in pairs]
    if plan.like is not None and any(one.alone for one in spoken):
        found.append("the checkpoint did not continue from the given speech: spoken as described")
    return [*plan.remarks, *(remark for remark in found if remark)]


def joined(sounds: Sequence[np.ndarray], rate: int, pauses: Sequence[float] | None = None) -> np.ndarray:
    """Parts (N,) after each other with the pauses between."""
    pauses = usual_pauses(len(sounds)) if pauses is None else pauses
    silences = [np.zeros(int(seconds * rate), np.float32) for seconds in pauses]
    return np.concatenate([silences[0], *(part for pair in zip(sounds, silences[1:], strict=True) for part in pair)])


def usual_pauses(count: int) -> list[float]:
    return [0.0, *[PAUSE] * (count - 1), 0.0]


def spans_of(sounds: Sequence[np.ndarray], rate: int, pauses: Sequence[float]) -> list[tuple[float, float]]:
    """(start, end) in seconds of each part where they are joined."""
    spans, at = [], 0
    for sound, pause in zip(sounds, pauses, strict=False):
        start = at + int(pause * rate)
        at = start + len(sound)
        spans.append((start / rate, at / rate))
    return spans
