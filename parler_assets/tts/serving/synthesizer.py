"""Speech on demand: a text, a voice and a style in, samples out. Shared by `parler-assets say` and the server.

Long texts are spoken sentence by sentence, since the models were trained on clips of at most half a minute. So that
all parts have one voice, the first is spoken alone and every other continues from it as its audio prefix. Both fit into
a clip together, and parts are spoken side by side, none repeating another's mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from parler_assets.recipe import Describing, Evaluation
from parler_assets.tts.data.texts import TextLengths, has_word, kept_lengths
from parler_assets.tts.serving.plan import Part, Plan, Request, SpeechResult, remarks_on
from parler_assets.tts.serving.remarks import ended_early, is_complete
from parler_assets.tts.serving.text import CHUNK, SayError, chunks, clean, clean_description, opened
from parler_assets.tts.synthesis.prompts import RECORDING
from parler_assets.tts.synthesis.rates import RATES, characters_per_second

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance, VoicePrompt

LEAST = 40  # characters of a chunk, however few seconds a recipe lets the model speak
AGAIN = 10_000  # what is added to a seed for another try
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


class Synthesizer:
    """Speaks requests with a checkpoint; knows the recipe's voices and styles."""

    def __init__(
        self, voice: Speaks, settings: Evaluation, describing: Describing, trained: TextLengths | None = None
    ) -> None:
        """`trained` is what the checkpoint's training texts were like, where that is known."""
        self.voice, self.settings, self.describing, self.trained = voice, settings, describing, trained

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
        sentences = self.trained.sentences if self.trained else None
        pieces = chunks(clean(request.text), self.longest(request.rate), sentences)
        spoken = [piece for piece in pieces if has_word(piece)]
        return spoken, clean_description(request.description) if request.description else self._describe(request, named)

    def longest(self, rate: str) -> int:
        """Characters of one chunk, so that it fits into the seconds that the recipe lets the model speak."""
        return min(CHUNK, self._spoken_at_once(rate))

    def _spoken_at_once(self, rate: str) -> int:
        fitting = int(self.settings.max_seconds * characters_per_second(rate))
        return max(LEAST, min(fitting, self.trained.characters) if self.trained else fitting)

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
        rate = None if request.description else request.rate
        carried: list[str] = []
        if len(pieces) > 1 and (self.trained is None or self.trained.sentences > 1):
            carried = opened(" ".join(pieces), self._spoken_at_once(request.rate))
        return Plan(carried or pieces, description, rate, bool(carried))

    def parts(self, plan: Plan, seed: int | None = None) -> list[Part]:
        """Seeds count from the recipe's on: the same request sounds the same whatever company it had."""
        first = self.settings.seed if seed is None else seed
        return [Part(text, plan.description, first + place, plan.rate) for place, text in enumerate(plan.parts)]

    def speak(self, request: Request, seed: int | None = None) -> SpeechResult:
        """All of a request's speech, its parts in batches that continue from the first."""
        started = time.perf_counter()
        plan, size = self.plan(request), self.settings.batch_size
        parts = self.parts(plan, seed)
        spoken = self.speak_parts(parts[:1])
        after = self.voice_prompt(parts[0], spoken[0]) if plan.carried else None
        for start in range(1, len(parts), size):
            spoken += self.speak_parts(parts[start : start + size], after)
        sound, remarks = joined([one.samples for one in spoken], self.voice.rate), tuple(remarks_on(plan, spoken))
        return SpeechResult(sound, self.voice.rate, plan.description, time.perf_counter() - started, remarks)

    def speak_parts(self, parts: Sequence[Part], after: VoicePrompt | None = None) -> list[Utterance]:
        """Parts side by side, those that failed spoken again; see `mended`."""
        return self.mended(parts, self._generate(parts, after), after is not None)

    def mended(self, parts: Sequence[Part], spoken: Sequence[Utterance], continued: bool = False) -> list[Utterance]:
        """The parts that failed spoken again; what no try says whole stays the longest of its tries.

        What failed when it `continued` from another part is spoken by itself; what ended early, with another seed; and
        several sentences of which some are still missing, one by one.
        """
        found = list(spoken)
        if continued:
            self._replace(found, parts, lambda text, one, rate: not is_complete(text, one, rate), self._generate)
        self._replace(found, parts, ended_early, self._with_another_seed)
        self._replace(found, parts, _lacks_sentences, self._by_sentences)
        return found

    def _replace(
        self,
        found: list[Utterance],
        parts: Sequence[Part],
        failed: Callable[[str, Utterance, str | None], bool],
        again: Callable[[Sequence[Part]], list[Utterance]],
    ) -> None:
        lost = [place for place, part in enumerate(parts) if failed(part.text, found[place], part.rate)]
        for place, one in zip(lost, again([parts[place] for place in lost]) if lost else [], strict=True):
            early = ended_early(parts[place].text, one, parts[place].rate)
            found[place] = found[place] if early and one.duration <= found[place].duration else one

    def _generate(self, parts: Sequence[Part], after: VoicePrompt | None = None) -> list[Utterance]:
        texts, descriptions = [part.text for part in parts], [part.description for part in parts]
        continuing = () if after is None else (after,)
        return self.voice.speak(texts, descriptions, self.settings, [part.seed for part in parts], *continuing)

    def _with_another_seed(self, parts: Sequence[Part]) -> list[Utterance]:
        return self._generate([replace(part, seed=part.seed + AGAIN) for part in parts])

    def _by_sentences(self, parts: Sequence[Part]) -> list[Utterance]:
        """A checkpoint that was trained on single sentences says the first of several and ends."""
        pieces = [[replace(part, text=text) for text in chunks(part.text, CHUNK, 1)] for part in parts]
        flat = [piece for each in pieces for piece in each]
        size = self.settings.batch_size
        spoken = [one for start in range(0, len(flat), size) for one in self._generate(flat[start : start + size])]
        following = iter(spoken)
        return [_one_after_another([next(following) for _ in each], self.voice.rate) for each in pieces]

    def voice_prompt(self, part: Part, spoken: Utterance) -> VoicePrompt | None:
        """What other parts continue from: speech that is heard, ended by itself and leaves them room in its clip."""
        from parler_assets.tts.synthesis.voice import VoicePrompt

        fits = spoken.duration <= 0.6 * self.settings.max_seconds
        if spoken.codes is None or not fits or not is_complete(part.text, spoken, part.rate):
            return None
        return VoicePrompt(part.text, spoken.codes)


def _lacks_sentences(text: str, spoken: Utterance, rate: str | None) -> bool:
    return ended_early(text, spoken, rate) and len(chunks(text, CHUNK, 1)) > 1


def _one_after_another(spoken: Sequence[Utterance], rate: int) -> Utterance:
    from parler_assets.tts.synthesis.voice import Utterance

    sound, seconds = joined([one.samples for one in spoken], rate), sum(one.seconds for one in spoken)
    return Utterance(sound, rate, seconds, all(one.ended for one in spoken))


def joined(sounds: Sequence[np.ndarray], rate: int) -> np.ndarray:
    """Chunks (N,) after each other with a pause between."""
    pause = np.zeros(int(PAUSE * rate), np.float32)
    return np.concatenate([part for sound in sounds for part in (sound, pause)][:-1])


def load_synthesizer(
    checkpoint: Path, settings: Evaluation, describing: Describing, device: str = "cpu"
) -> Synthesizer:
    """A checkpoint that speaks what fits what it was trained on, where its folder says so."""
    from parler_assets.tts.synthesis.voice import Voice

    voice = Voice(checkpoint, device, settings.precision)
    return Synthesizer(voice, settings, describing, kept_lengths(checkpoint))
