"""What the texts of a training set are like: what a model was never trained on, it is not asked to say at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from parler_assets.tts.data.codes_file import TRAIN, open_split

ENDS = (".", "!", "?", ";", ":", "。", "！", "？", "।", "؟", "…")  # of what counts as a sentence
_END = re.compile(r"(?<=[.!?;:।؟…])\s+|(?<=[。！？])\s*(?=\S)")  # some scripts have no space between sentences
LONG = 99  # percentile of the texts' lengths
USUAL = 0.05  # share of the texts that have so many sentences


@dataclass(frozen=True)
class TextLengths:
    """`characters` of a long text, and the `sentences` that at least one text of twenty has."""

    characters: int
    sentences: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text with their punctuation, nothing lost but the space between."""
    return _END.split(text)


def has_word(text: str) -> bool:
    """Whether there is anything to say: a letter or a digit."""
    return any(character.isalnum() for character in text)


def text_lengths(texts: Sequence[str]) -> TextLengths | None:
    """None of no texts."""
    if not texts:
        return None
    counts = np.array([sum(map(has_word, sentences_of(text.strip()))) for text in texts])
    characters = np.percentile([len(text) for text in texts], LONG, method="lower")
    sentences = [count for count in sorted(set(counts.tolist())) if np.mean(counts >= count) >= USUAL]
    return TextLengths(int(characters), max(1, *sentences))


def trained_lengths(training_set: Path) -> TextLengths | None:
    """Of the texts that a training set trains on."""
    return text_lengths(open_split(training_set, TRAIN).table["text"].to_pylist())


def kept_lengths(checkpoint: Path) -> TextLengths | None:
    """As the folder of a fine-tuned checkpoint has them; None of one that was made before, or elsewhere."""
    try:
        record = json.loads((checkpoint / "provenance.json").read_text(encoding="utf-8"))["texts"]
        return TextLengths(int(record["characters"]), int(record["sentences"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
