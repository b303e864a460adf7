"""Names that stages behind the recipe can use: speakers and styles that an English sentence can hold, labels of rate.

What is refused here would otherwise be refused when a trained checkpoint is asked for its first sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.names import shown
from parler_assets.recipe.corpora import Corpus
from parler_assets.recipe.evaluation import Evaluation
from parler_assets.recipe.speech import Describing

NAME = re.compile(r"[^\W\d_][\w'’.-]*(?: [\w'’.-]+){0,3}")
PLAIN = re.compile(r"[^\W\d_][\w'’-]*(?:[ _][\w'’-]+){0,2}")
RATE = re.compile(r"moderate speed|(?:(?:extremely|very|quite|slightly) )?(?:slowly|fast)")
LONGEST = 40
_RULES = {
    "name": (NAME, f"one to four words that begin with a letter, {LONGEST} characters at most"),
    "style": (PLAIN, f"one to three plain words, {LONGEST} characters at most"),
    "speaking_rate": (RATE, "a label of speaking rate, such as quite fast or moderate speed"),
}
_STATES: dict[str, list[str]] = {
    "expresso": ["name", "style", "speaking_rate"],
    "named_v01": ["name", "speaking_rate"],
    "named_v02": ["name", "speaking_rate"],
    "generic_v01": ["speaking_rate"],
    "generic_v02": ["speaking_rate"],
    "generic_v02_accent": ["speaking_rate"],
}
_BLOCK = re.compile(r"\{[{%]([^{}]*)[%}]\}")  # takes time in proportion to the text, whatever it is


def sayable(kind: str, value: str) -> bool:
    """Whether a description can state this value of `name`, `style` or `speaking_rate`."""
    return len(value) <= LONGEST and bool(_RULES[kind][0].fullmatch(value))


def unusable_names(corpora: Mapping[str, Corpus], describing: Describing, asked: Evaluation) -> Iterator[str]:
    """Every speaker, style and rate of a recipe that its descriptions would have to state and cannot."""
    named = "named" in describing.captions
    stated = [kind for kind in states_of(describing.prompt) if named or kind != "name"]
    given = {("evaluation.speakers", "name"): asked.speakers, ("evaluation.styles", "style"): asked.styles}
    given |= {("evaluation.rates", "speaking_rate"): asked.rates}
    for corpus, section in corpora.items():
        if section.annotated_here:
            given[f"corpora.{corpus}.speaker_names", "name"] = list(section.speaker_names.values())
    for (key, kind), values in given.items():
        blank_is_plain = kind == "style"  # no style is the plain one; nobody has no name
        for value in (value for value in values if kind in stated and (value.strip() or not blank_is_plain)):
            if not sayable(kind, value.strip()):
                said = f"{shown(value)[:LONGEST]!r} cannot be said in a description"
                yield f"{key}: {said}: give {_RULES[kind][1]}"


def states_of(prompt: str) -> list[str]:
    """What a prompt's descriptions state of `_RULES`; a template file states what its places name."""
    if prompt in _STATES:
        return _STATES[prompt]
    try:
        blocks = " ".join(_BLOCK.findall(read_text(Path(prompt).expanduser())))
    except (OSError, Refusal):
        return []  # the stage that reads it says what is wrong with it
    return [kind for kind in _RULES if re.search(rf"\b{kind}\b", blocks)]
