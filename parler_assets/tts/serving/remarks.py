"""What is wrong with generated speech, and whether it has to be spoken again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parler_assets.speech.audio import Clip
from parler_assets.tts.synthesis.rates import CHARACTERS_PER_SECOND
from parler_assets.tts.synthesis.sanity import is_silent

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance


def remarks_on(spoken: Utterance, place: int, count: int) -> list[str]:
    """What is wrong with one chunk: it was cut, or nothing can be heard."""
    part = f"part {place} of {count}" if count > 1 else "the speech"
    if is_silent(Clip(spoken.samples, spoken.rate)):
        return [f"{part} is silent: try another seed or description"]
    return [] if spoken.ended else [f"{part} did not end by itself and was cut at {spoken.duration:.1f} s"]


def is_complete(text: str, spoken: Utterance) -> bool:
    """Whether it can be heard, ended by itself and is long enough."""
    return is_long_enough(text, spoken.duration) and not remarks_on(spoken, 1, 1)


def is_long_enough(text: str, seconds: float) -> bool:
    """At least a quarter as long as such a text is."""
    return seconds * CHARACTERS_PER_SECOND * 4 >= len(text)
