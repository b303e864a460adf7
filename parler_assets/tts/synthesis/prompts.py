"""The evaluation prompts of a recipe: what is asked of the speech, each with its description, seed and a stable id.

Five kinds. `grid`: speakers x styles x rates x texts. `graded`: an attribute in all its degrees (slightly, quite, very)
on the same words. `emphasis`: a text with a *marked* word, and the same text without the mark. `quality`: the best and
the worst recording the labels know, in the phrases the published models react to. `long`: several sentences at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from parler_assets.recipe import Evaluation
from parler_assets.tts.synthesis.rates import RATES, seconds_of

Describe = Callable[[Mapping[str, str]], str]
Labels = Mapping[str, Sequence[str]]
KINDS = ("grid", "graded", "emphasis", "quality", "long")
# What is asked for beside speaker, style and rate: the best recording the labels know.
RECORDING = {"noise": "very clear", "reverberation": "very confined sounding"}


class PromptError(ValueError):
    """Settings from which no prompt can be made; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Prompt:
    """One thing to say: what is asked of the speech, and the text.

    `attribute` and `label` are what a graded or quality prompt asks for beside speaker, style and rate.
    """

    id: str
    kind: str
    speaker: str
    style: str
    rate: str
    attribute: str | None
    label: str | None
    text: str
    description: str
    seed: int

    @property
    def seconds(self) -> float:
        """Expected duration, to put prompts of like length into one batch."""
        return seconds_of(self.text, self.rate)


def evaluation_prompts(
    settings: Evaluation,
    held_out: Sequence[str],
    describe: Describe,
    labels: Labels | None = None,
    spoken: Mapping[tuple[str, str], Sequence[str]] | None = None,
) -> list[Prompt]:
    """All prompts of a recipe, in order of kind, speaker, style, rate and text; `settings.seeds` of each.

    A cell begins with texts that real clips of it say, so that those can be heard beside it, and continues with the
    others in turn; the rates of one speaker and style share their texts, so that they are compared on the same words.
    Id and seed depend on what is asked alone, not on the place in the list: prompts that are added to a recipe change
    no other sample.

    Args:
        spoken: (speaker, style) to the texts of real clips that are samples too.
        labels: attribute to its labels from lowest to highest, as the corpus's bins have them; rates by default.

    Raises:
        PromptError: there is no text to speak, or an attribute to grade without labels.
    """
    texts = list(dict.fromkeys(text.strip() for text in (settings.texts or held_out) if text.strip()))
    if not texts:
        raise PromptError("evaluation.texts is null and no clip of these speakers is held out: set texts, or held_out")
    own = {} if settings.texts else dict(spoken or {})
    maker = _Maker(settings, texts, describe, {"speaking_rate": RATES, **(labels or {})}, own)
    once = [prompt for kind in KINDS for prompt in getattr(maker, kind)()]
    unique = list({prompt.id: prompt for prompt in once}.values())
    return [_seeded(prompt, settings.seed, number) for prompt in unique for number in range(settings.seeds)]


@dataclass(frozen=True)
class _Maker:
    settings: Evaluation
    texts: Sequence[str]
    describe: Describe
    labels: Labels
    spoken: Mapping[tuple[str, str], Sequence[str]]

    @property
    def plain(self) -> str:
        return "default" if "default" in self.settings.styles else self.settings.styles[0]

    @property
    def middle(self) -> str:
        rates = self.labels["speaking_rate"]
        return rates[len(rates) // 2]

    def text(self, number: int) -> str:
        """Without marks: only `emphasis` prompts have them."""
        return self.texts[number % len(self.texts)].replace("*", "")

    def grid(self) -> Iterator[Prompt]:
        count = self.settings.texts_per_cell
        for cell, (speaker, style) in enumerate(product(self.settings.speakers, self.settings.styles)):
            own = list(dict.fromkeys(self.spoken.get((speaker, style), ())))
            turn = [self.texts[(cell * count + k) % len(self.texts)] for k in range(len(self.texts))]
            chosen = list(dict.fromkeys([*own[cell % len(own) :], *own[: cell % len(own)], *turn] if own else turn))
            for rate, text in product(self.settings.rates, chosen[:count]):
                yield self.prompt("grid", speaker, style, rate, text)

    def graded(self) -> Iterator[Prompt]:
        for attribute, (place, speaker) in product(self.settings.graded, enumerate(self.settings.speakers)):
            for label in self._labels(attribute):
                yield self._asking("graded", speaker, attribute, label, self.text(place))

    def emphasis(self) -> Iterator[Prompt]:
        style = "emphasis" if "emphasis" in self.settings.styles else self.plain
        for (place, speaker), number in product(enumerate(self.settings.speakers), range(self.settings.emphasis)):
            text = self.text(place + number * len(self.settings.speakers))
            for words in (marked(text, place + number), text):
                yield self.prompt("emphasis", speaker, style, self.middle, words)

    def quality(self) -> Iterator[Prompt]:
        best = RECORDING["noise"]
        ends = (
            self.labels["noise"][:: len(self.labels["noise"]) - 1] if "noise" in self.labels else ["very noisy", best]
        )
        for (place, speaker), number in product(enumerate(self.settings.speakers), range(self.settings.quality)):
            for label in ends:
                yield self._asking("quality", speaker, "noise", label, self.text(place + number))

    def long(self) -> Iterator[Prompt]:
        count = self.settings.long_sentences
        for place, speaker in enumerate(self.settings.speakers if count else []):
            text = " ".join(_sentence(self.text(place * count + k)) for k in range(count))
            yield self.prompt("long", speaker, self.plain, self.middle, text)

    def _labels(self, attribute: str) -> Sequence[str]:
        if attribute not in self.labels:
            raise PromptError(f"evaluation.graded: {attribute} has no labels here; the corpus's bins have none for it")
        return self.labels[attribute]

    def _asking(self, kind: str, speaker: str, attribute: str, label: str, text: str) -> Prompt:
        rate = label if attribute == "speaking_rate" else self.middle
        return self.prompt(kind, speaker, self.plain, rate, text, attribute, label)

    def prompt(
        self, kind: str, speaker: str, style: str, rate: str, text: str, attribute: str | None = None, label: str = ""
    ) -> Prompt:
        asked = {"name": speaker, "style": style, "speaking_rate": rate, **RECORDING}
        description = self.describe(asked | ({attribute: label} if attribute else {}))
        if attribute and attribute != "speaking_rate":
            description = with_phrase(description, attribute, label)
        name = prompt_id(kind, speaker, style, label or rate, text)
        return Prompt(name, kind, speaker, style, rate, attribute, label or None, text, description, 0)


def _seeded(prompt: Prompt, seed: int, number: int) -> Prompt:
    own = int(hashlib.sha256(f"{seed} {prompt.id} {number}".encode()).hexdigest()[:7], 16)
    return replace(prompt, id=f"{prompt.id}-s{number}" if number else prompt.id, seed=own)


def with_phrase(description: str, attribute: str, label: str) -> str:
    """The description with what is asked for in words, where its template leaves that attribute out.

    "very clear audio" and "very noisy audio" are the phrases that the published models' cards advise; they take the
    place of a closing clause on the recording's quality, which would contradict them.
    """
    if label in description:
        return description
    kept = re.sub(r", [^,]*\bquality\b[^,]*$", "", description.rstrip().rstrip("."))
    phrases = {"noise": f"with {label} audio", "reverberation": f"in a {label} recording"}
    return f"{kept}, {phrases.get(attribute, f'with {label}')}."


def marked(text: str, turn: int = 0) -> str:
    """The text with one of its longer words marked *so*, as transcripts of emphasised speech mark it."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(re.sub(r"\W", "", word)) > 2] or [0]
    place = long[turn % len(long)]
    words[place] = re.sub(r"^(\W*)(.*?)(\W*)$", r"\1*\2*\3", words[place])
    return " ".join(words)


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."


def base_id(prompt: str) -> str:
    """The id without the number of its seed: what all seeds of one prompt share."""
    return re.sub(r"-s\d+$", "", prompt)


def prompt_id(kind: str, speaker: str, style: str, label: str, text: str) -> str:
    """Readable and stable: `jerry-happy-quite_fast-1f3a9c`, the end being a digest of the text."""
    tail = hashlib.sha256(text.encode()).hexdigest()[:6]
    parts = (speaker, style, label) if kind == "grid" else (kind, speaker, style, label)
    return "-".join(part.lower().replace(" ", "_") for part in parts) + f"-{tail}"
