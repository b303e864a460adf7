"""What a description speaks of: the situations of the original's five templates and of the Expresso variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["named", "situational"]
Attributes = dict[str, str]

_V01 = ("reverberation", "noise", "speech_monotony", "speaking_rate")
_V02 = ("reverberation", "sdr_noise", "speech_monotony", "speaking_rate")


@dataclass(frozen=True)
class Situation:
    """What one kind of prompt speaks of.

    Attributes:
        states: attributes a sentence must express, in the order in which a prompt lists them.
        needed: those without which a clip cannot be described; the others are passed over where they are empty.
        without: the situation of a clip that lacks the attribute named first.
        quality: the sentence also says that the recording is of high quality, whatever was measured.
    """

    states: tuple[str, ...]
    needed: tuple[str, ...] = ("speaking_rate",)
    without: tuple[str, str] | None = None
    quality: bool = False


SITUATIONS = {
    "expresso": Situation(("name", "style", "speaking_rate"), ("name", "style", "speaking_rate"), quality=True),
    "generic_v01": Situation(("gender", *_V01[:3], "pitch", "speaking_rate")),
    "named_v01": Situation(("name", *_V01), ("name", "speaking_rate"), ("name", "generic_v01")),
    "generic_v02": Situation(("gender", *_V02, "pitch"), ("sdr_noise", "speaking_rate")),
    "generic_v02_accent": Situation(
        ("gender", *_V02, "pitch", "accent"), ("sdr_noise", "speaking_rate", "accent"), ("accent", "generic_v02")
    ),
    "named_v02": Situation(("name", *_V02), ("name", "sdr_noise", "speaking_rate"), ("name", "generic_v02")),
}
# A user's own template file may speak of all there is.
OWN = Situation(("name", "gender", "style", "accent", *_V01, "sdr_noise", "pitch"), ())
