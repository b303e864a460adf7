"""A vowel whose pitch and phase are known exactly."""

from __future__ import annotations

import numpy as np

FORMANTS = ((700, 90), (1200, 110), (2600, 160))  # Hz: centres and widths


def vowel(f0: np.ndarray, rate: int, loudness: float = 0.1, tilt: float = 0.0) -> np.ndarray:
    """Samples (N,) with the pitch `f0` (N,) in Hz: harmonics in cosine phase under three formants.

    `tilt` is the power of a harmonic's number that it is weakened by: about 1.5 in a voice.
    """
    phase = np.cumsum(f0) / rate
    sound = np.zeros(len(f0))
    for harmonic in range(1, int(rate / 2 / f0.max())):
        hertz = harmonic * f0
        gain = sum(1 / (1 + ((hertz - centre) / width) ** 2) for centre, width in FORMANTS) + 0.3 / harmonic
        sound += gain / harmonic**tilt * np.cos(2 * np.pi * harmonic * phase)
    return (sound * loudness / np.sqrt(np.mean(sound**2))).astype(np.float32)
