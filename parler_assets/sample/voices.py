"""Who speaks and how: four named speakers, any number of generic ones, and the eight styles.

A style changes espeak-ng's parameters and the finished sound, so that rate, pitch, pitch range, loudness and voicing
really differ. A vocal tract factor other than 1 moves all formants (and the pitch, which is set back): it keeps
speakers apart even where whispering leaves no pitch to tell them by.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import numpy as np
import soxr

from parler_assets.sample.espeak import RATE, Request


@dataclass(frozen=True)
class Speaker:
    """A voice: espeak-ng's variant, its base pitch (0-99) and the factor its formants are raised by."""

    name: str
    gender: str
    variant: str
    pitch: int
    tract: float = 1.0


@dataclass(frozen=True)
class Style:
    """What a style does: factors on rate and pitch range, steps of pitch, ms between words, dB, and effects."""

    rate: float = 1.0
    pitch: int = 0
    pitch_range: int = 50
    word_gap: int = 0
    gain: float = 0.0
    whispered: bool = False
    tremolo: float = 0.0
    question: bool = False


NAMED = {
    speaker.name: speaker
    for speaker in (
        Speaker("Jerry", "male", "mike2", 55, 1.12),
        Speaker("Elisabeth", "female", "f2", 50, 1.0),
        Speaker("Thomas", "male", "edward", 28, 1.08),
        Speaker("Talia", "female", "f4", 60, 1.05),
    )
}
STYLES = {
    "default": Style(),
    "happy": Style(rate=1.12, pitch=14, pitch_range=95, gain=2),
    "confused": Style(rate=0.92, pitch=5, pitch_range=80, question=True),
    "sad": Style(rate=0.82, pitch=-10, pitch_range=10, gain=-5),
    "laughing": Style(rate=1.0, pitch=16, pitch_range=60, tremolo=6.0),
    "whisper": Style(rate=0.95, gain=-9, whispered=True),
    "enunciated": Style(rate=0.78, pitch_range=60, word_gap=5),
    "emphasis": Style(rate=0.95, pitch_range=70, gain=1),
}
# Variants that the offline recogniser understands too; several of espeak-ng's male ones it does not.
_GENERIC = {
    "male": ("m5", "m6", "m8", "adam", "boris", "ed", "michel", "Reed"),
    "female": ("f1", "f3", "f5", "Annie", "Alicia", "anika", "aunty", "belinda", "linda", "steph"),
}
_TRACTS = {"male": (1.04, 1.18), "female": (0.95, 1.07)}


def generic_speaker(draw: random.Random) -> Speaker:
    """A voice that is none of the named ones."""
    gender = draw.choice(("male", "female"))
    variant, pitch = draw.choice(_GENERIC[gender]), draw.randint(20, 65)
    return Speaker("", gender, variant, pitch, round(draw.uniform(*_TRACTS[gender]), 3))


def _familiar(name: str, gender: str) -> Speaker:
    draw = random.Random(f"familiar {name}")
    variant, tract = draw.choice(_GENERIC[gender]), draw.uniform(*_TRACTS[gender])
    return Speaker(name, gender, variant, draw.randint(20, 65), round(tract, 3))


# Voices that only the base checkpoint was pretrained on: from them it learns that a name stands for a voice.
FAMILIAR = tuple(
    _familiar(name, gender)
    for gender, names in (
        ("male", ("Gary", "Rick", "David", "Will", "Jason", "Bruce")),
        ("female", ("Laura", "Karen", "Brenda", "Rose", "Naomie", "Tina")),
    )
    for name in names
)


@dataclass(frozen=True)
class Delivery:
    """One sentence by one speaker in one style; `pace` is a factor on the speaking rate."""

    text: str
    speaker: Speaker
    style: Style
    pace: float = 1.0
    gain: float = 0.0

    @property
    def request(self) -> Request:
        """What espeak-ng is asked for; the vocal tract's change of duration and pitch is set back here."""
        tract, style, speaker = self.speaker.tract, self.style, self.speaker
        whisper = {"male": "whisper", "female": "whisperf"}[speaker.gender]
        return Request(
            text=_ssml(self.text, style.question),
            voice=f"en-us+{whisper if style.whispered else speaker.variant}",
            words_per_minute=int(np.clip(round(165 * style.rate * self.pace / tract), 80, 450)),
            pitch=int(np.clip(speaker.pitch + style.pitch, 0, 99)),
            pitch_range=style.pitch_range,
            word_gap=style.word_gap,
        )

    def finish(self, samples: np.ndarray) -> np.ndarray:
        """Vocal tract, tremolo, loudness and a little silence around espeak-ng's samples (N,)."""
        if self.speaker.tract != 1.0:
            samples = soxr.resample(samples, RATE * self.speaker.tract, RATE).astype(np.float32)
        samples = _trimmed(samples)
        if self.style.tremolo:
            seconds = np.arange(len(samples)) / RATE
            samples = samples * (0.55 + 0.45 * np.sin(2 * np.pi * self.style.tremolo * seconds))
        level = 0.09 * 10 ** ((self.style.gain + self.gain) / 20) / max(_loudness(samples), 1e-5)
        quiet = np.zeros(int(0.12 * RATE))
        return np.concatenate([quiet, np.clip(samples * level, -1, 1), quiet]).astype(np.float32)


def _ssml(text: str, question: bool) -> str:
    spoken = text.rstrip(".") + "?" if question else text
    return re.sub(r"\*(\w+)\*", r'<emphasis level="strong">\1</emphasis>', spoken)


def _trimmed(samples: np.ndarray, floor: float = 1e-3) -> np.ndarray:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > floor)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def _loudness(samples: np.ndarray) -> float:
    """Root mean square of the loud half of 20 ms frames: pauses do not count."""
    size = RATE // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.sort((frames**2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) if len(power) else 0.0
