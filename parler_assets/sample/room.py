"""Rooms and noise of known strength: what an estimator of SNR and C50 can be held against."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from parler_assets.sample.espeak import RATE

DECAY = 0.6  # seconds to fall by 60 dB
LEAST_C50 = 5.0  # dB; a decaying tail without a direct sound has 3.4 dB already


def reverberate(samples: np.ndarray, c50: float, generator: np.random.Generator) -> np.ndarray:
    """Samples (N,) heard in a room whose clarity index C50 is `c50` dB, 0.2 s longer and as loud as before.

    The impulse response is a direct sound and an exponentially decaying noise tail (Polack's model), whose strength
    sets the ratio of the energy before and after 50 ms (ISO 3382-1).

    Raises:
        ValueError: less clear than this model of a room can be.
    """
    if c50 < LEAST_C50:
        raise ValueError(f"C50 of {c50} dB: at least {LEAST_C50} dB")
    seconds = np.arange(int(DECAY * RATE)) / RATE
    tail = generator.standard_normal(len(seconds)) * 10 ** (-3 * seconds / DECAY)
    tail[0] = 0
    early, late = float((tail[: RATE // 20] ** 2).sum()), float((tail[RATE // 20 :] ** 2).sum())
    # c50 = 10 log10((1 + g early) / (g late)), solved for the tail's energy g
    tail *= np.sqrt(1 / (10 ** (c50 / 10) * late - early))
    tail[0] = 1.0
    wet = fftconvolve(samples, tail)[: len(samples) + RATE // 5]
    return (wet * (np.abs(samples).max(initial=1e-5) / np.abs(wet).max(initial=1e-5))).astype(np.float32)


def add_noise(samples: np.ndarray, snr: float, generator: np.random.Generator) -> np.ndarray:
    """Samples (N,) in pink noise, `snr` dB below the power of the clip's loud half."""
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20))
    noise = np.fft.irfft(spectrum, len(samples))
    power = np.sort(samples.astype(np.float64) ** 2)[len(samples) // 2 :].mean()
    noise *= np.sqrt(power / 10 ** (snr / 10) / np.mean(noise**2))
    return np.clip(samples + noise, -1, 1).astype(np.float32)
