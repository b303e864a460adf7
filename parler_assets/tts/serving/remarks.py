"""What is wrong with generated speech: it is silent, was cut, or ended before its text did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parler_assets.speech.audio import Clip
from parler_assets.tts.synthesis.rates import MODERATE, RATES, characters_per_second
from parler_assets.tts.synthesis.sanity import is_silent

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance

LEAST_SHARE = 0.5  # of the seconds that a text takes, below which some of it was left out


def least_seconds(text: str, rate: str | None = None) -> float:
    """The shortest that speech of the whole text can be, at `rate` or at moderate speed where that is slower."""
    fastest = max(characters_per_second(rate), characters_per_second(RATES[MODERATE]))
    return LEAST_SHARE * len(text) / fastest


def ended_early(text: str, spoken: Utterance, rate: str | None = None) -> bool:
    """Whether it ended by itself, and before all of the text can have been said."""
    return spoken.ended and spoken.duration < least_seconds(text, rate)


def is_mute(spoken: Utterance) -> bool:
    return is_silent(Clip(spoken.samples, spoken.rate))


def is_complete(text: str, spoken: Utterance, rate: str | None = None) -> bool:
    """Whether it can be heard, ended by itself and is long enough."""
    return spoken.ended and not ended_early(text, spoken, rate) and not is_mute(spoken)


def remark_on(text: str, spoken: Utterance, rate: str | None = None, place: int = 1, count: int = 1) -> str | None:
    """What is wrong with one part of `count`, in words."""
    part = f"part {place} of {count}" if count > 1 else "the speech"
    if is_mute(spoken):
        return f"{part} is silent: try another seed or description"
    if not spoken.ended:
        return f"{part} did not end by itself and was cut at {spoken.duration:.1f} s"
    if ended_early(text, spoken, rate):
        beginning = text if len(text) <= 40 else f"{text[:37].rstrip()}..."
        return (
            f"{part} ended after {spoken.duration:.1f} s, too early for its {len(text)} characters ({beginning!r}): "
            "words are missing; try another seed or shorter sentences"
        )
    return None
