"""How fast read speech is: the labels of its rate, and the seconds that a text takes at each."""

from __future__ import annotations

import math

RATES = (
    "very slowly",
    "quite slowly",
    "slightly slowly",
    "moderate speed",
    "slightly fast",
    "quite fast",
    "very fast",
)
MODERATE = RATES.index("moderate speed")
FASTER = 1.12  # from one label to the next
CHARACTERS_PER_SECOND = 13.0  # of read speech at moderate speed, a little below the usual 14 to 15
PLAUSIBLE = (4.0, 40.0)  # characters a second: outside, words were left out or babbled


def characters_per_second(rate: str | None = None) -> float:
    """Of read speech at `rate`; at moderate speed where it is none of the labels."""
    return CHARACTERS_PER_SECOND * FASTER ** (RATES.index(rate) - MODERATE if rate in RATES else 0)


def seconds_of(text: str, rate: str | None = None) -> float:
    """Expected duration."""
    return len(text) / characters_per_second(rate)


def label_of_speed(speed: float) -> str:
    """The label that is nearest to a speed, where 1 is moderate."""
    step = round(math.log(speed) / math.log(FASTER))
    return RATES[max(0, min(len(RATES) - 1, MODERATE + step))]
