"""What the two synthetic corpora consist of, clip by clip: a pure function of their settings.

Every clip draws from a generator seeded by its corpus's seed and its own number, so that clip 17 is the same in a
corpus of 20 and of 2000 clips.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from parler_assets.sample.espeak import speak
from parler_assets.sample.room import add_noise, reverberate
from parler_assets.sample.sentences import emphasised, passage, sentence, sentences
from parler_assets.sample.voices import FAMILIAR, NAMED, STYLES, Delivery, generic_speaker

SHARED = 48  # sentences that the named speakers have in common: every style is heard on the same words
CLEAN_SNR, CLEAN_C50 = 48.0, 60.0  # dB; a studio still has a noise floor


@dataclass(frozen=True)
class PlannedClip:
    """One clip to be: its labels, how it is spoken, and the known strength of noise and reverberation in dB."""

    id: str
    speaker: str | None
    style: str
    gender: str
    delivery: Delivery
    snr: float = CLEAN_SNR
    c50: float = CLEAN_C50

    @property
    def text(self) -> str:
        return self.delivery.text


def named_clips(count: int, seed: int) -> list[PlannedClip]:
    """Clips of the four named speakers, all eight styles in turn, on shared sentences."""
    cells = list(product(STYLES, NAMED))
    texts = sentences(SHARED, seed)
    return [_named(number, *cells[number % len(cells)], texts, seed) for number in range(count)]


def _named(number: int, style: str, name: str, texts: Sequence[str], seed: int) -> PlannedClip:
    draw = random.Random(f"named {seed} {number}")
    text = draw.choice(texts)
    text = emphasised(text, draw) if style == "emphasis" else text
    delivery = Delivery(text, NAMED[name], STYLES[style], pace(draw), draw.uniform(-1.5, 1.5))
    gender = NAMED[name].gender
    return PlannedClip(f"{name.lower()}_{style}_{number:05d}", name, style, gender, delivery, draw.uniform(42, 54))


def generic_clips(count: int, seed: int) -> list[PlannedClip]:
    """Clips of voices without a name, one voice a clip, in rooms and noise of known strength."""
    return [_generic(number, seed) for number in range(count)]


def _generic(number: int, seed: int) -> PlannedClip:
    draw = random.Random(f"generic {seed} {number}")
    speaker = generic_speaker(draw)
    delivery = Delivery(sentence(draw), speaker, STYLES["default"], pace(draw), draw.uniform(-3, 3))
    snr, c50 = draw.uniform(0, 45), draw.uniform(6, 40)
    return PlannedClip(f"generic_{number:05d}", None, "default", speaker.gender, delivery, snr, c50)


def pretraining_clips(count: int, seed: int) -> list[PlannedClip]:
    """Clips in every style for the base checkpoint: three of four are clean, two of five by a familiar voice."""
    return [_pretraining(number, seed) for number in range(count)]


def _pretraining(number: int, seed: int) -> PlannedClip:
    draw = random.Random(f"pretraining {seed} {number}")
    speaker = draw.choice(FAMILIAR) if draw.random() < 0.4 else generic_speaker(draw)
    style = draw.choice([*STYLES, "default", "default"])
    text = sentence(draw) if style == "emphasis" else passage(draw)
    text = emphasised(text, draw) if style == "emphasis" else text
    delivery = Delivery(text, speaker, STYLES[style], pace(draw), draw.uniform(-2, 2))
    studio = draw.random() < 0.75
    snr, c50 = (draw.uniform(42, 54), CLEAN_C50) if studio else (draw.uniform(0, 45), draw.uniform(6, 40))
    return PlannedClip(f"pretraining_{number:06d}", speaker.name or None, style, speaker.gender, delivery, snr, c50)


PLANS = {"named": named_clips, "generic": generic_clips, "pretraining": pretraining_clips}


def pace(draw: random.Random) -> float:
    """A factor on the speaking rate between 0.7 and 1.43, even in its logarithm."""
    return round(0.7 * (1.43 / 0.7) ** draw.random(), 3)


def render(clips: Sequence[PlannedClip]) -> list[np.ndarray]:
    """Samples (N,) float32 at 22050 Hz of every clip, the same on every call."""
    spoken = speak([clip.delivery.request for clip in clips])
    return [_placed(clip, clip.delivery.finish(samples)) for clip, samples in zip(clips, spoken, strict=True)]


def _placed(clip: PlannedClip, samples: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(list(clip.id.encode()))
    heard = reverberate(samples, clip.c50, generator) if clip.c50 < CLEAN_C50 else samples
    return add_noise(heard, clip.snr, generator)
