"""Phonemes of a transcript, and the speaking rate that DataSpeech makes of them.

DataSpeech writes the transcript in IPA with the package g2p and divides the number of characters of that string,
spaces and punctuation included, by the duration. g2p's English is a dictionary look-up, given here by a lexicon made
from CMUdict: a word that is not in it, digits included, becomes nothing; everything between words is copied. Version
2.2 of g2p began to take entries such as `don't` whole; published tags are older and split them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Literal

from parler_assets.speech.lexicon import lexicon

Behaviour = Literal["before_2_2", "since_2_2"]
LEAST_SPEECH = 0.01  # seconds that DataSpeech puts where no speech was found


def speaking_rate(phonemes: str, seconds: float) -> float:
    """Characters of the phoneme string per second; era a gives the clip's duration, era b that of its speech."""
    return len(phonemes) / (seconds or LEAST_SPEECH)


def phonemes(text: str, behaviour: Behaviour = "before_2_2") -> str:
    """The transcript in IPA, as g2p writes it."""
    pieces = re.split(r"(\s+)", unicodedata.normalize("NFC", text).lower())
    return "".join(piece if piece.isspace() else _word(piece, behaviour) for piece in pieces)


@lru_cache(maxsize=1 << 17)
def _word(piece: str, behaviour: Behaviour) -> str:
    """One run without spaces: its longest lexicon entries from left to right (since 2.2), or word by word (before)."""
    known, units = lexicon(), _units(piece)
    longest = len(units) if behaviour == "since_2_2" else 1
    spoken, position = [], 0
    while position < len(units):
        ends = range(min(position + longest, len(units)), position, -1)
        end = next((end for end in ends if "".join(units[position:end]) in known), position + 1)
        unit = "".join(units[position:end])
        spoken.append(known.get(unit, "" if _in_word(unit[0]) else unit))
        position = end
    return "".join(spoken)


def _units(piece: str) -> list[str]:
    """Runs of letters, digits and their marks; everything else is a unit of its own."""
    runs = [(inside, "".join(run)) for inside, run in groupby(piece, _in_word)]
    return [unit for inside, run in runs for unit in ([run] if inside else run)]


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
