"""What a language model is asked: one prompt for every situation, or a user's own template file.

Everything that differs between two clips stands at the very end, so that engines can share the computation of the long
part before it. Values come from `attributes_of`, which lets no text of a corpus through that is not a plain label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from parler_assets.speech.binning.edges import published_labels
from parler_assets.speech.descriptions.checking.vocabulary import STYLES
from parler_assets.speech.descriptions.examples import EXAMPLES, examples_of
from parler_assets.speech.descriptions.own_template import environment, own_template
from parler_assets.speech.descriptions.situations import SITUATIONS, Attributes, Kind

TITLES = {
    "name": "speaker",
    "gender": "gender",
    "style": "style",
    "accent": "accent",
    "speaking_rate": "speaking rate",
    "pitch": "pitch",
    "speech_monotony": "intonation",
    "noise": "noise",
    "sdr_noise": "noise",
    "reverberation": "room",
}
_SAID = {
    "name": "the speaker's name",
    "gender": "male or female",
    "accent": "where the speaker's English comes from",
    "style": "how the sentence is acted: "
    + ", ".join(f'"{style}"' for style in list(STYLES)[:8])
    + ', or another word. "default" means no particular emotion: call it neutral',
}


@dataclass(frozen=True)
class _Keyword:
    title: str
    meaning: str


class Prompt:
    """A recipe's prompt, ready to be filled.

    Raises:
        DescriptionError: it is neither a known situation nor a usable template file.
    """

    def __init__(self, prompt: str, structured: bool = False) -> None:
        self.prompt, self.structured = prompt, structured
        self.own = None if prompt in SITUATIONS else own_template(prompt)
        self.text = self.own.text if self.own else _source() + json.dumps([EXAMPLES, _SAID])

    def messages(self, kind: Kind, attributes: Attributes) -> list[dict[str, str]]:
        """The chat that asks for one description: a single turn, as some models know no system's turn."""
        return [{"role": "user", "content": self.filled(kind, attributes)}]

    def filled(self, kind: Kind, attributes: Attributes) -> str:
        if self.own:
            return self.own.fill(attributes, kind)
        situation = _situation_for(self.prompt, attributes)
        head = _head(situation, "name" in attributes, self.structured)
        return head.replace(_PLACE, keywords_of(attributes, situation))


def keywords_of(attributes: Mapping[str, str], situation: str) -> str:
    """`style "happy", speaking rate "quite slowly"`: the given values under their titles."""
    states = (*SITUATIONS[situation].states, "gender")
    pairs = [(name, attributes[name]) for name in dict.fromkeys(states) if name in attributes]
    return ", ".join(f'{TITLES[name]} "{value}"' for name, value in pairs)


def _situation_for(prompt: str, attributes: Mapping[str, str]) -> str:
    """The situation whose keywords these are: attributes without a name or an accent come from the fallback."""
    name = prompt
    while (without := SITUATIONS[name].without) and without[0] not in attributes:
        if without[0] == "name" and "pitch" not in attributes:  # nameless on purpose: the same keywords otherwise
            break
        name = without[1]
    return name


_PLACE = "\x00"


@lru_cache(maxsize=64)
def _head(situation: str, named: bool, structured: bool) -> str:
    """The prompt of a situation with a mark where the values go."""
    states = SITUATIONS[situation].states
    version = "v02" if "sdr_noise" in states else "v01"
    noise = "sdr_noise" if "sdr_noise" in states else "noise"
    shown = [name for name in dict.fromkeys((*states, *(() if named else ("gender",)))) if named or name != "name"]
    published = published_labels(version)
    labels = {name: published[name] for name in states if name in published}
    keywords = [_Keyword(TITLES[name], _SAID.get(name) or _one_of(labels[name])) for name in shown]
    examples = [{"keywords": keywords_of(attributes, situation), "description": said}
                for attributes, said in examples_of(situation, named)]  # fmt: skip
    recording = "reverberation" in states
    ends = {name: labels[name] for name in (noise, "reverberation")} if recording else {}
    extremes = {which: {"noise" if name == noise else name: words[place] for name, words in ends.items()}
                for which, place in (("worst", 0), ("best", -1))}  # fmt: skip
    return environment().from_string(_source()).render(
        named=named, keywords=keywords, examples=examples, recording=recording, quality=SITUATIONS[situation].quality,
        structured=structured, given=_PLACE, **extremes,
    )  # fmt: skip


def _one_of(labels: list[str]) -> str:
    return "one of " + ", ".join(f'"{label}"' for label in labels)


@lru_cache(maxsize=1)
def _source() -> str:
    return (resources.files("parler_assets.speech.descriptions") / "prompt.j2").read_text(encoding="utf-8")
