"""A request for speech, how it is spoken in parts, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parler_assets.tts.serving.remarks import remark_on
from parler_assets.tts.serving.text import decodable

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance


@dataclass(frozen=True)
class Request:
    """What to say and how. `description` replaces the sentence made from voice, style and rate."""

    text: str
    voice: str
    style: str = "default"
    rate: str = "moderate speed"
    description: str | None = None

    def __post_init__(self) -> None:
        for name in ("text", "voice", "style", "rate", "description"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, decodable(value))


@dataclass(frozen=True)
class SpeechResult:
    """Samples (N,) float32 at `rate`, how long it took, and what is wrong with them in words."""

    samples: np.ndarray
    rate: int
    description: str
    seconds: float
    remarks: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class Plan:
    """How a request is spoken: its parts in order; where `carried`, the others continue from the first.

    `rate` is what the description asks for, None where a caller wrote it.
    """

    parts: list[str]
    description: str
    rate: str | None
    carried: bool


@dataclass(frozen=True)
class Part:
    """One part of a plan as it is handed to the model."""

    text: str
    description: str
    seed: int
    rate: str | None = None


def remarks_on(plan: Plan, spoken: Sequence[Utterance]) -> list[str]:
    """What is wrong with the parts of a plan."""
    pairs = enumerate(zip(plan.parts, spoken, strict=True), 1)
    found = [remark_on(text, one, plan.rate, place, len(spoken)) for place, (text, one) in pairs]
    return [remark for remark in found if remark]
