"""Classical analysis of a clip, frame by frame: what the encoder learns to tell.

Voicing and f0 by Praat's autocorrelation (Boersma 1993), the phase of the fundamental by demodulation, and an envelope
smoothed as wide as the pitch, so that it holds no harmonics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import parselmouth
from transformers.audio_utils import mel_filter_bank

from parler_assets.sample.pretraining.latent import HOP, RATE

FLOOR, CEILING = 60.0, 500.0  # Hz
BANDS = 32  # mel bands at each of a frame's two moments
_FFT = 512
_WIDTHS = np.geomspace(70, 480, 14)  # Hz that envelopes are smoothed over


@dataclass(frozen=True)
class Analysis:
    """Per frame: voicing (T,) bool, f0 (T,) in Hz, phase (T,) in cycles at the frame's centre, both 0 where unvoiced,
    and log amplitudes (T, 2 * BANDS) at the frame's two quarters."""

    voiced: np.ndarray
    f0: np.ndarray
    phase: np.ndarray
    envelope: np.ndarray


def analyse(samples: np.ndarray) -> Analysis:
    """Of mono samples (N,) at `RATE`; the last partial frame counts."""
    T = -(-len(samples) // HOP)
    samples = np.pad(samples, (0, T * HOP - len(samples)))
    moments = np.arange(2 * T) * (HOP // 2)  # every frame's left edge and its centre
    pitch = pitch_at(samples, moments / RATE)
    edge, centre = pitch[0::2].copy(), pitch[1::2]
    voiced = centre > 0
    edge = np.where((edge == 0) & voiced, centre, edge)
    both = np.stack([edge, centre], 1).ravel()
    phase = phases(samples, moments, np.where(both > 0, both, 100.0)).reshape(T, 2)
    f0 = np.where(voiced, _stepped(phase, edge, centre, voiced), 0)
    return Analysis(voiced, f0, np.where(voiced, phase[:, 1], 0), envelope(samples, centre))


def pitch_at(samples: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """f0 in Hz at moments (T,), 0 where unvoiced; linear between voiced neighbours, octave jumps taken out."""
    if len(samples) < 0.08 * RATE:
        return np.zeros(len(seconds))
    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=FLOOR, pitch_ceiling=CEILING + 100)
    found, times = pitch.selected_array["frequency"], pitch.xs()
    middle = np.median(found[found > 0]) if (found > 0).any() else 0.0
    found = np.where((found > middle * 1.9) | (found < middle / 1.9) | (found > CEILING), 0, found)
    place = (seconds - times[0]) / 0.01
    before = np.clip(np.floor(place).astype(int), 0, len(found) - 1)
    after = np.clip(before + 1, 0, len(found) - 1)
    share = np.clip(place - before, 0, 1)
    one, other = found[before], found[after]
    mixed = np.where((one > 0) & (other > 0), (1 - share) * one + share * other, np.where(share < 0.5, one, other))
    return np.where((place < -1) | (place > len(found)), 0, mixed)


def phases(samples: np.ndarray, moments: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Phase in cycles of the component at f0 (M,) around moments (M,): demodulation under three periods of Hann."""
    half = HOP
    padded = np.pad(samples, (half, half + HOP)).astype(np.float64)
    pieces = padded[moments[:, None] + np.arange(2 * half)]
    n = np.arange(2 * half) - half + 0.5
    width = 3.0 * RATE / np.maximum(f0, FLOOR)[:, None]
    window = np.where(np.abs(n) < width / 2, 0.5 + 0.5 * np.cos(2 * np.pi * n / width), 0)
    return np.angle((pieces * window * np.exp(-2j * np.pi * f0[:, None] * n / RATE)).sum(1)) / (2 * np.pi)


def _stepped(phase: np.ndarray, edge: np.ndarray, centre: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """f0 (T,) as the cycles since the centre before: phases (T, 2) unwrapped over two halves of a frame."""
    left, middle = phase.T
    before, pitch_before = np.roll(middle, 1), np.roll(centre, 1)
    half = HOP / 2 / RATE
    cycles = np.zeros(len(edge))
    for start, end, low, high in ((before, left, pitch_before, edge), (left, middle, edge, centre)):
        moved = end - start
        cycles += moved + np.round((low + high) / 2 * half - moved)
    found = cycles / (2 * half)
    follows = np.roll(voiced, 1)
    follows[:1] = False
    return np.where(follows & (np.abs(found - edge) < 0.25 * np.maximum(edge, 1)), found, (edge + centre) / 2)


@lru_cache(maxsize=1)
def _banks() -> np.ndarray:
    """Mel banks (widths, bins, bands) behind a boxcar of every width."""
    mel = mel_filter_bank(_FFT // 2 + 1, BANDS, 60.0, RATE / 2, RATE, norm=None, mel_scale="slaney")
    mel /= mel.sum(0, keepdims=True)
    bins = np.arange(_FFT // 2 + 1)
    apart = np.abs(bins[:, None] - bins)
    boxcars = [np.clip(width * _FFT / RATE / 2 + 0.5 - apart, 0, 1) for width in _WIDTHS]
    return np.stack([boxcar / boxcar.sum(1, keepdims=True) @ mel for boxcar in boxcars])


def envelope(samples: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Log amplitudes (T, 2 * BANDS) around the quarters of every frame; f0 (T,) says how wide to smooth."""
    T = len(f0)
    starts = np.arange(2 * T) * (HOP // 2) + HOP // 4
    padded = np.pad(samples, (HOP // 2, HOP // 2 + HOP)).astype(np.float64)
    pieces = padded[starts[:, None] + np.arange(HOP)] * np.hanning(HOP + 2)[1:-1]
    power = np.abs(np.fft.rfft(pieces, _FFT)) ** 2 / 150.0  # the window's energy
    width = np.abs(np.log(np.where(f0 > 0, f0, 150.0)[:, None] / _WIDTHS)).argmin(1).repeat(2)
    smooth = np.empty((2 * T, BANDS))
    for one in np.unique(width):
        smooth[width == one] = power[width == one] @ _banks()[one]
    return (0.5 * np.log(smooth + 1e-6)).reshape(T, 2 * BANDS)
