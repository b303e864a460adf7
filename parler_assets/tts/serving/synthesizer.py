"""Speech on demand: a text, a voice and a style in, samples out. Shared by `parler-assets say` and the server.

Long texts are spoken sentence by sentence, since the models were trained on clips of at most half a minute. So that
all parts have one voice, the first is spoken alone and every other goes on from it: its sound and words stand before
theirs. Both fit into a clip together, and parts are spoken side by side, none repeating another's mistakes.
"""

from __future__ import annotations

import html
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from parler_assets.recipe import Describing, Evaluation
from parler_assets.tts.synthesis.prompts import FASTER, RATES, RECORDING

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Spoke

MOST_CHARACTERS = 20_000
MOST_OF_A_DESCRIPTION = 1_000  # characters; the corpora's own have one sentence
CHUNK = 220  # characters spoken at once, at most
LEAST = 40  # at least, however few seconds a recipe lets the model speak
CHARACTERS_PER_SECOND = 13  # of read speech at moderate speed, a little below the usual 14 to 15
ENDS = (".", "!", "?", ";", ":")  # of what counts as a sentence
PAUSE = 0.18  # seconds between chunks


class SayError(ValueError):
    """A request that cannot be spoken; the message says what to change."""


class Speaks(Protocol):
    """What `Voice` offers here."""

    rate: int

    def speak(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: Spoke | None = None,
    ) -> list: ...


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
                object.__setattr__(self, name, clean(value))


@dataclass(frozen=True)
class Spoken:
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
    """How a request is spoken: its parts in order; where `carried`, the others go on from the first."""

    parts: list[str]
    description: str
    carried: bool


class Sayer:
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
        pieces = chunks(readable(request.text), self.longest(request.rate))
        return pieces, described(request.description) if request.description else self._describe(request, named)

    def longest(self, rate: str) -> int:
        """Characters of one chunk, so that it fits into the seconds that the recipe lets the model speak."""
        return min(CHUNK, self._spoken_at_once(rate))

    def _spoken_at_once(self, rate: str) -> int:
        faster = FASTER ** (RATES.index(rate) - 3) if rate in RATES else 1.0
        return max(LEAST, int(self.settings.max_seconds * CHARACTERS_PER_SECOND * faster))

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

    def speak(self, request: Request, seed: int | None = None) -> Spoken:
        """All of a request's speech, its parts in batches that go on from the first."""
        started = time.perf_counter()
        plan = self.plan(request)
        pieces, description, seeds, size = (
            plan.parts,
            plan.description,
            self.seeds(plan, seed),
            self.settings.batch_size,
        )
        said = self.parts(pieces[:1], [description], seeds[:1])
        after = self.spoke(pieces[0], said[0]) if plan.carried else None
        for start in range(1, len(pieces), size):
            batch = pieces[start : start + size]
            said += self.parts(batch, [description] * len(batch), seeds[start : start + size], after)
        sound = joined([one.samples for one in said], self.voice.rate)
        remarks = tuple(remark for place, one in enumerate(said, 1) for remark in remarks_on(one, place, len(said)))
        return Spoken(sound, self.voice.rate, description, time.perf_counter() - started, remarks)

    def parts(
        self, texts: Sequence[str], descriptions: Sequence[str], seeds: Sequence[int], after: Spoke | None = None
    ) -> list:
        """Parts side by side; those that do not come out when they go on from `after` are spoken by themselves."""
        if after is None:
            return self.voice.speak(texts, descriptions, self.settings, seeds)
        return self.mended(
            self.voice.speak(texts, descriptions, self.settings, seeds, after), texts, descriptions, seeds
        )

    def mended(self, said: Sequence, texts: Sequence[str], descriptions: Sequence[str], seeds: Sequence[int]) -> list:
        """Parts that went on from another, each that did not come out replaced by one that is spoken by itself.

        A checkpoint that was trained on single sentences alone, as the sample's is, ends with the first.
        """
        lost = [place for place, one in enumerate(said) if not came_out(texts[place], one)]
        asked = (
            [texts[place] for place in lost],
            [descriptions[place] for place in lost],
            [seeds[place] for place in lost],
        )
        again = self.parts(*asked) if lost else []
        replaced = dict(zip(lost, again, strict=True))
        return [replaced.get(place, one) for place, one in enumerate(said)]

    def spoke(self, text: str, said) -> Spoke | None:
        """What other parts go on from: speech that can be heard, ended by itself and leaves them room in its clip."""
        from parler_assets.tts.synthesis.voice import Spoke

        fits = said.duration <= 0.6 * self.settings.max_seconds
        return Spoke(text, said.codes) if said.codes is not None and fits and not remarks_on(said, 1, 1) else None

    def say(self, request: Request, seed: int | None = None) -> np.ndarray:
        """All of a request's samples (N,) float32 at `voice.rate`."""
        return self.speak(request, seed).samples


def came_out(text: str, said) -> bool:
    """Whether it can be heard, ended by itself and is long enough."""
    return is_long_enough(text, said.duration) and not remarks_on(said, 1, 1)


def is_long_enough(text: str, seconds: float) -> bool:
    """At least a quarter as long as such a text is."""
    return seconds * CHARACTERS_PER_SECOND * 4 >= len(text)


def joined(sounds: Sequence[np.ndarray], rate: int) -> np.ndarray:
    """Chunks (N,) after each other with a pause between."""
    pause = np.zeros(int(PAUSE * rate), np.float32)
    return np.concatenate([part for sound in sounds for part in (sound, pause)][:-1])


def remarks_on(said, place: int, count: int) -> list[str]:
    """What is wrong with one chunk: it was cut, or nothing can be heard."""
    from parler_assets.speech.audio import Clip
    from parler_assets.tts.scoring.sanity import is_silent

    part = f"part {place} of {count}" if count > 1 else "the speech"
    if is_silent(Clip(said.samples, said.rate)):
        return [f"{part} is silent: try another seed or description"]
    return [] if said.stopped else [f"{part} did not end by itself and was cut at {said.duration:.1f} s"]


def load_sayer(checkpoint: Path, settings: Evaluation, describing: Describing, device: str = "cpu") -> Sayer:
    from parler_assets.tts.synthesis.voice import Voice

    return Sayer(Voice(checkpoint, device), settings, describing)


def clean(text: str) -> str:
    """Every text of a request: no lone surrogates, control or unassigned characters, which no tokenizer reads."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") else c for c in text)


def described(text: str) -> str:
    """A caller's own description, white space joined.

    Raises:
        SayError: no word in it, or more than 1,000 characters.
    """
    if len(text) > MOST_OF_A_DESCRIPTION:
        raise SayError(f"a description of {len(text)} characters, at most {MOST_OF_A_DESCRIPTION}: shorten it")
    if not any(character.isalpha() for character in text):
        raise SayError("the description has no word: describe the voice in a sentence, or leave it out")
    return " ".join(text.split())


def readable(text: str) -> str:
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
