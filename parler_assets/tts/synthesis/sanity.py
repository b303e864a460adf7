"""Is it speech at all? Silence, and lengths that no reading of the text has."""

from __future__ import annotations

import numpy as np

from parler_assets.speech.audio import Clip
from parler_assets.tts.synthesis.rates import PLAUSIBLE

SILENT = 0.003  # root mean square (about -50 dBFS) of the louder half of the frames, below which nothing is heard


def loudness(clip: Clip) -> float:
    """Root mean square of the louder half of 20 ms frames, so that pauses do not count."""
    size = max(1, clip.rate // 50)
    frames = clip.samples[: len(clip.samples) // size * size].reshape(-1, size)
    if not len(frames):
        return 0.0
    powers = np.sort((frames.astype(np.float64) ** 2).mean(axis=1))
    return float(np.sqrt(powers[len(powers) // 2 :].mean()))


def is_silent(clip: Clip) -> bool:
    return loudness(clip) < SILENT


def length_is_plausible(seconds: float, text: str) -> bool:
    """Between 4 and 40 characters a second, and at most a second where that is more."""
    slowest, fastest = PLAUSIBLE
    return len(text) / fastest <= seconds <= max(1.0, len(text) / slowest)
