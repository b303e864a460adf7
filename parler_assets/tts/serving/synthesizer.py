"""Speech on demand: a text, a voice and a style in, samples out. Shared by `parler-assets say` and the server.

Long texts are spoken sentence by sentence, since the models were trained on clips of at most half a minute. So that
all parts have one voice, the first is spoken alone and every other continues from it as its audio prefix. Both fit into
a clip together, and parts are spoken side by side, none repeating another's mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from parler_assets.recipe import Describing, Evaluation
from parler_assets.tts.serving.remarks import is_complete, remarks_on
from parler_assets.tts.serving.text import CHUNK, SayError, chunks, clean, clean_description, opened
from parler_assets.tts.synthesis.prompts import RECORDING
from parler_assets.tts.synthesis.rates import RATES, characters_per_second

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance, VoicePrompt

T = TypeVar("T")
LEAST = 40  # characters of a chunk, however few seconds a recipe lets the model speak
PAUSE = 0.18  # seconds between chunks


class Speaks(Protocol):
    """What `Voice` offers here."""

    rate: int

    def speak(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: VoicePrompt | None = None,
    ) -> list[Utterance]: ...


@dataclass(frozen=True)
class Request:
    """What to say and how. `description` replaces the sentence made from voice, style and rate."""

    text: str
    voice: str
    style: str = "default"
    rate: str = "moderate speed"
    description: str | None = None


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
    """How a request is spoken: its parts in order; where `carried`, the others continue from the first."""

    parts: list[str]
    description: str
    carried: bool


class Synthesizer:
    """Speaks requests with a checkpoint; knows the recipe's voices and styles."""

    def __init__(self, voice: Speaks, settings: Evaluation, describing: Describing) -> None:
        self.voice, self.settings, self.describing = voice, settings, describing

    @property
    def voices(self) -> list[str]:
        return self.settings.speakers

    @property
    def plain(self) -> str:
        """The style when none is asked for."""
        return "default" if "default" in self.settings.styles else self.settings.styles[0]

    @property
    def rates(self) -> list[str]:
        return list(dict.fromkeys([*RATES, *self.settings.rates]))

    def check(self, request: Request) -> tuple[list[str], str]:
        """The chunks to speak and their description.

        Raises:
            SayError: nothing to say, too long, an unknown voice, style or rate, a script the model never saw; a
                description that is too long or has no word.
        """
        named = {name.lower(): name for name in self.voices}
        if request.voice.lower() not in named:
            raise SayError(f"unknown voice {request.voice!r}: this checkpoint has {', '.join(self.voices)}")
        if request.style not in self.settings.styles:
            raise SayError(f"unknown style {request.style!r}: this checkpoint has {', '.join(self.settings.styles)}")
        if request.rate not in self.rates:
            raise SayError(f"unknown rate {request.rate!r}: say one of {', '.join(self.rates)}")
        pieces = chunks(clean(request.text), self.longest(request.rate))
        return pieces, clean_description(request.description) if request.description else self._describe(request, named)

    def longest(self, rate: str) -> int:
        """Characters of one chunk, so that it fits into the seconds that the recipe lets the model speak."""
        return min(CHUNK, self._spoken_at_once(rate))

    def _spoken_at_once(self, rate: str) -> int:
        return max(LEAST, int(self.settings.max_seconds * characters_per_second(rate)))

    def _describe(self, request: Request, named: dict[str, str]) -> str:
        from parler_assets.speech.descriptions import describe_attributes

        asked = {"name": named[request.voice.lower()], "style": request.style, "speaking_rate": request.rate}
        try:
            return describe_attributes({**asked, **RECORDING}, settings=self.describing)
        except ValueError as error:
            raise SayError(f"no description can be made of this: {error}") from None

    def plan(self, request: Request) -> Plan:
        """The parts of a request, those of a long text with room for the first beside each. Raises as `check`."""
        pieces, description = self.check(request)
        carried = opened(" ".join(pieces), self._spoken_at_once(request.rate)) if len(pieces) > 1 else []
        return Plan(carried or pieces, description, bool(carried))

    def seeds(self, plan: Plan, seed: int | None = None) -> list[int]:
        """A seed for each part, from the recipe's on: the same request sounds the same whatever company it had."""
        first = self.settings.seed if seed is None else seed
        return [first + place for place in range(len(plan.parts))]

    def speak(self, request: Request, seed: int | None = None) -> SpeechResult:
        """All of a request's speech, its parts in batches that continue from the first."""
        started = time.perf_counter()
        plan, size = self.plan(request), self.settings.batch_size
        seeds = self.seeds(plan, seed)
        spoken = self.speak_parts(plan.parts[:1], [plan.description], seeds[:1])
        after = self.voice_prompt(plan.parts[0], spoken[0]) if plan.carried else None
        for start in range(1, len(plan.parts), size):
            batch = plan.parts[start : start + size]
            spoken += self.speak_parts(batch, [plan.description] * len(batch), seeds[start : start + size], after)
        sound = joined([one.samples for one in spoken], self.voice.rate)
        remarks = tuple(remark for place, one in enumerate(spoken, 1) for remark in remarks_on(one, place, len(spoken)))
        return SpeechResult(sound, self.voice.rate, plan.description, time.perf_counter() - started, remarks)

    def speak_parts(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        seeds: Sequence[int],
        after: VoicePrompt | None = None,
    ) -> list[Utterance]:
        """Parts side by side; those that fail when they continue from `after` are spoken by themselves."""
        if after is None:
            return self.voice.speak(texts, descriptions, self.settings, seeds)
        spoken = self.voice.speak(texts, descriptions, self.settings, seeds, after)
        return self.mended(spoken, texts, descriptions, seeds)

    def mended(
        self,
        spoken: Sequence[Utterance],
        texts: Sequence[str],
        descriptions: Sequence[str],
        seeds: Sequence[int],
    ) -> list[Utterance]:
        """Parts that continued from another, each that failed replaced by one that is spoken by itself.

        A checkpoint that was trained on single sentences alone, as the sample's is, ends with the first.
        """
        lost = [place for place, one in enumerate(spoken) if not is_complete(texts[place], one)]
        again = self.speak_parts(_at(lost, texts), _at(lost, descriptions), _at(lost, seeds)) if lost else []
        replaced = dict(zip(lost, again, strict=True))
        return [replaced.get(place, one) for place, one in enumerate(spoken)]

    def voice_prompt(self, text: str, spoken: Utterance) -> VoicePrompt | None:
        """What other parts continue from: speech that is heard, ended by itself and leaves them room in its clip."""
        from parler_assets.tts.synthesis.voice import VoicePrompt

        fits = spoken.duration <= 0.6 * self.settings.max_seconds
        if spoken.codes is None or not fits or remarks_on(spoken, 1, 1):
            return None
        return VoicePrompt(text, spoken.codes)


def _at(places: Sequence[int], values: Sequence[T]) -> list[T]:
    return [values[place] for place in places]


def joined(sounds: Sequence[np.ndarray], rate: int) -> np.ndarray:
    """Chunks (N,) after each other with a pause between."""
    pause = np.zeros(int(PAUSE * rate), np.float32)
    return np.concatenate([part for sound in sounds for part in (sound, pause)][:-1])


def load_synthesizer(
    checkpoint: Path, settings: Evaluation, describing: Describing, device: str = "cpu"
) -> Synthesizer:
    from parler_assets.tts.synthesis.voice import Voice

    return Synthesizer(Voice(checkpoint, device), settings, describing)
