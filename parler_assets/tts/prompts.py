"""The evaluation prompts of a recipe: speakers x styles x rates x texts, each with its description and a stable id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from parler_assets.recipe import Evaluation

Describe = Callable[[Mapping[str, str]], str]
# What is asked for beside speaker, style and rate: the best recording the labels know.
RECORDING = {"noise": "very clear", "reverberation": "very confined sounding"}


class PromptError(ValueError):
    """Settings from which no prompt can be made; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Prompt:
    """One thing to say: what is asked of the speech, and the text."""

    id: str
    speaker: str
    style: str
    rate: str
    text: str
    description: str


def evaluation_prompts(settings: Evaluation, held_out: Sequence[str], describe: Describe) -> list[Prompt]:
    """All prompts of a recipe, in order of speaker, style, rate and text.

    Cells take texts in turn, so that every text is heard; the rates of one speaker and style share their texts, so that
    graded requests are compared on the same words. An id depends on what is asked alone, not on its place in the list.

    Raises:
        PromptError: there is no text to speak.
    """
    texts = list(dict.fromkeys(text.strip() for text in (settings.texts or held_out) if text.strip()))
    if not texts:
        raise PromptError("evaluation.texts is null and no clip of these speakers is held out: set texts, or held_out")
    prompts = []
    for cell, (speaker, style) in enumerate(product(settings.speakers, settings.styles)):
        chosen = [texts[(cell * settings.texts_per_cell + k) % len(texts)] for k in range(settings.texts_per_cell)]
        for rate, text in product(settings.rates, dict.fromkeys(chosen)):
            asked = {"name": speaker, "style": style, "speaking_rate": rate, **RECORDING}
            prompts.append(Prompt(prompt_id(speaker, style, rate, text), speaker, style, rate, text, describe(asked)))
    return prompts


def prompt_id(speaker: str, style: str, rate: str, text: str) -> str:
    """Readable and stable: `jerry-happy-quite_fast-1f3a9c`, the end being a digest of the text."""
    tail = hashlib.sha256(text.encode()).hexdigest()[:6]
    return "-".join(part.lower().replace(" ", "_") for part in (speaker, style, rate)) + f"-{tail}"
