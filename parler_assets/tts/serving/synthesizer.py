"""Speech on demand: a text, a voice and a style in, samples out. Shared by `parler-assets say` and the server.

Long texts are spoken sentence by sentence, since the models were trained on clips of at most half a minute. So that
all parts have one voice, the first is spoken alone and every other continues from it as its audio prefix. Both fit into
a clip together, and parts are spoken side by side, none repeating another's mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from parler_assets.intake.near import did_you_mean
from parler_assets.recipe import Describing, Evaluation
from parler_assets.recipe.spellings import style_of
from parler_assets.tts.data.texts import ENDS, TextLengths, kept_lengths
from parler_assets.tts.serving.chunks import CHUNK, chunks
from parler_assets.tts.serving.cutting import Cutting
from parler_assets.tts.serving.kept_voices import Encodes
from parler_assets.tts.serving.letters import Letters
from parler_assets.tts.serving.lexicon import Lexicon
from parler_assets.tts.serving.plan import Part, Plan, Request, SpeechResult, joined, remarks_on, spans_of
from parler_assets.tts.serving.remarks import ended_early, is_complete
from parler_assets.tts.serving.text import MOST_CHARACTERS, Passage, SayError, clean_description, script_of
from parler_assets.tts.synthesis.prompts import RECORDING
from parler_assets.tts.synthesis.rates import RATES, characters_per_second

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance, VoicePrompt

LEAST = 40  # characters of a chunk, however few seconds a recipe lets the model speak
LONGEST_REFERENCE = 0.6  # of the seconds that are spoken at once, for speech that other speech continues from
AGAIN = 10_000  # what is added to a seed for another try


class Speaks(Encodes, Protocol):
    """What `Voice` offers here."""

    def speak(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: VoicePrompt | None = None,
    ) -> list[Utterance]: ...

    def unknown(self, letters: Iterable[str]) -> set[str]: ...


class Synthesizer:
    """Speaks requests with a checkpoint; knows the recipe's voices and styles."""

    def __init__(
        self,
        voice: Speaks,
        settings: Evaluation,
        describing: Describing,
        trained: TextLengths | None = None,
        lexicon: Lexicon | None = None,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        """`trained` is what the checkpoint's training texts were like, where that is known."""
        self.voice, self.settings, self.describing, self.trained = voice, settings, describing, trained
        self.lexicon, self.most_characters = lexicon or Lexicon(), most_characters

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

    def plan(self, request: Request, streamed: bool = False) -> Plan:
        """The parts of a request, those of a long text with room for the first beside each.

        Args:
            streamed: sound is given out before its end, so that nothing can be spoken again: where it is unknown how
                many sentences the checkpoint says at once, it is asked for one.

        Raises:
            SayError: nothing to say, too long, an unknown voice, style or rate, mostly letters that the checkpoint's
                tokenizer does not know; a description that is too long or has no word.
        """
        self._check_names(request)
        script = script_of(request.text, self.lexicon, self.most_characters)
        letters = Letters(self.voice, script.text)
        passages = [Passage(letters.known(passage.text), passage.pause) for passage in script.passages]
        cutting = self._cutting(request, streamed)
        parts, pauses, carried = cutting.cut(passages)
        return Plan(
            parts=parts,
            description=self.describe(request),
            rate=None if request.description else request.rate,
            carried=carried,
            pauses=tuple(pauses),
            seed=request.seed,
            remarks=(*script.remarks, *letters.remarks),
            like=request.like.prompt if request.like else None,
        )

    def _check_names(self, request: Request) -> None:
        if request.like is None and request.voice.lower() not in self._named:
            raise SayError(_unknown("voice", request.voice, self.voices))
        if style_of(request.style) not in self.settings.styles:
            raise SayError(_unknown("style", request.style, self.settings.styles))
        if request.rate not in self.rates:
            raise SayError(_unknown("rate", request.rate, self.rates))

    def _cutting(self, request: Request, streamed: bool) -> Cutting:
        at_once, before = self._spoken_at_once(request.rate), 0
        if request.like:
            before = len(request.like.prompt.text) + 1
            if at_once - before < LEAST:
                raise SayError(
                    f"the speech to continue from has {before} characters, and this checkpoint says {at_once} at once: "
                    "use a shorter one"
                )
        unknown = 1 if streamed else None
        trained = self.trained.sentences if self.trained else unknown
        carries = request.like is None and (self.trained is None or self.trained.sentences > 1)
        return Cutting(min(CHUNK, at_once - before), trained, at_once if carries else None, unknown)

    def longest(self, rate: str) -> int:
        """Characters of one chunk, so that it fits into the seconds that the recipe lets the model speak."""
        return min(CHUNK, self._spoken_at_once(rate))

    def _spoken_at_once(self, rate: str) -> int:
        fitting = int(self.settings.max_seconds * characters_per_second(rate))
        return max(LEAST, min(fitting, self.trained.characters) if self.trained else fitting)

    @property
    def _named(self) -> dict[str, str]:
        return {name.lower(): name for name in self.voices}

    def describe(self, request: Request) -> str:
        """A caller's own sentence; or one that names voice, style and rate, and says the tone that was asked for.

        Raises:
            SayError: no word in it, too long, or none can be made.
        """
        if request.description:
            return clean_description(request.description)
        tone = clean_description(request.tone) if request.tone else ""
        described = self._of_attributes(request)
        return f"{described} {tone if tone.endswith(ENDS) else f'{tone}.'}" if tone else described

    def _of_attributes(self, request: Request) -> str:
        from parler_assets.speech.descriptions import describe_attributes

        asked = {"style": style_of(request.style), "speaking_rate": request.rate}
        speaker = request.like.speaker if request.like else self._named[request.voice.lower()]
        if speaker:
            asked = {"name": speaker, **asked}
        try:
            return describe_attributes({**asked, **RECORDING}, settings=self.describing)
        except ValueError as error:
            raise SayError(f"no description can be made of this: {error}") from None

    def parts(self, plan: Plan) -> list[Part]:
        """Seeds count from the plan's or the recipe's on: a request sounds the same whatever company it had."""
        first = self.settings.seed if plan.seed is None else plan.seed
        return [Part(text, plan.description, first + place, plan.rate) for place, text in enumerate(plan.parts)]

    def speak(self, request: Request) -> SpeechResult:
        """All of a request's speech, its parts in batches that continue from the first, or from what was given."""
        started = time.perf_counter()
        plan, size = self.plan(request), self.settings.batch_size
        parts = self.parts(plan)
        alone = 0 if plan.like else 1
        spoken = self.speak_parts(parts[:alone]) if alone else []
        after = self.voice_prompt(parts[0], spoken[0]) if plan.carried else plan.like
        for start in range(alone, len(parts), size):
            spoken += self.speak_parts(parts[start : start + size], after)
        sounds = [one.samples for one in spoken]
        return SpeechResult(
            samples=joined(sounds, self.voice.rate, plan.pauses),
            rate=self.voice.rate,
            description=plan.description,
            seconds=time.perf_counter() - started,
            remarks=tuple(remarks_on(plan, spoken)),
            parts=tuple(plan.parts),
            spans=tuple(spans_of(sounds, self.voice.rate, plan.pauses)),
            first=self.voice_prompt(parts[0], spoken[0]),
        )

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
            self._replace(found, parts, lambda text, one, rate: not is_complete(text, one, rate), self._by_themselves)
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

    def _by_themselves(self, parts: Sequence[Part]) -> list[Utterance]:
        return [replace(one, alone=True) for one in self._generate(parts)]

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

        fits = spoken.duration <= LONGEST_REFERENCE * self.settings.max_seconds
        if spoken.codes is None or not fits or not is_complete(part.text, spoken, part.rate):
            return None
        return VoicePrompt(part.text, spoken.codes)


def _unknown(what: str, written: str, known: Sequence[str]) -> str:
    meant = did_you_mean(written, known)
    return f"unknown {what} {written[:80]!r}: {f'{meant} ' if meant else ''}this checkpoint has {', '.join(known)}"


def _lacks_sentences(text: str, spoken: Utterance, rate: str | None) -> bool:
    return ended_early(text, spoken, rate) and len(chunks(text, CHUNK, 1)) > 1


def _one_after_another(spoken: Sequence[Utterance], rate: int) -> Utterance:
    from parler_assets.tts.synthesis.voice import Utterance

    sound, seconds = joined([one.samples for one in spoken], rate), sum(one.seconds for one in spoken)
    return Utterance(sound, rate, seconds, all(one.ended for one in spoken))


def load_synthesizer(
    checkpoint: Path,
    settings: Evaluation,
    describing: Describing,
    device: str = "cpu",
    lexicon: Lexicon | None = None,
    most_characters: int = MOST_CHARACTERS,
) -> Synthesizer:
    """A checkpoint that speaks what fits what it was trained on, where its folder says so."""
    from parler_assets.tts.synthesis.voice import Voice

    voice = Voice(checkpoint, device, settings.precision)
    return Synthesizer(voice, settings, describing, kept_lengths(checkpoint), lexicon, most_characters)
