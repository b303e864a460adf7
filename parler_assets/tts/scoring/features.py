"""Spectral and prosodic statistics of a clip, for the probe that tells speakers and styles apart."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct
from scipy.signal import stft

from parler_assets.speech.audio import Clip

RATE = 16000
MELS, COEFFICIENTS = 40, 20


@lru_cache(maxsize=2)
def mel_filters(bins: int) -> np.ndarray:
    """Triangular filters (MELS, bins), evenly spaced on O'Shaughnessy's mel scale from 50 Hz to half the rate."""
    from transformers.audio_utils import mel_filter_bank

    return mel_filter_bank(bins, MELS, 50.0, RATE / 2, RATE, mel_scale="htk").T


def spectral(clip: Clip) -> np.ndarray:
    """Means and deviations of 20 cepstral coefficients and of their differences over frames, level left out: (78,)."""
    samples = clip.at(RATE).samples
    samples = np.pad(samples, (0, max(0, 1024 - len(samples))))
    _, _, spectrum = stft(samples, RATE, nperseg=400, noverlap=240, nfft=512, boundary=None)
    energy = mel_filters(spectrum.shape[0]) @ np.abs(spectrum) ** 2
    logarithm = np.log(np.maximum(energy, energy.max() * 1e-6 + 1e-12))
    cepstra = dct(logarithm, axis=0, norm="ortho")[:COEFFICIENTS]
    loud = cepstra[:, cepstra[0] >= np.quantile(cepstra[0], 0.3)]
    change = np.diff(cepstra, axis=1)
    # The first coefficient's mean is the recording level and says nothing; its deviation tells laughing from reading.
    return np.concatenate([loud.mean(1)[1:], loud.std(1), change.std(1)[1:], np.abs(change).mean(1)])


def prosodic(row: dict) -> np.ndarray:
    """Pitch, its deviation, rate and duration of a tagged sample: (5,); what has no value is 0 beside its own flag."""
    pitch = row.get("utterance_pitch_mean") or 0.0
    deviation, rate = row.get("utterance_pitch_std") or 0.0, row.get("rate_measured") or 0.0
    return np.array(
        [np.log2(pitch) if pitch > 0 else 0.0, float(pitch > 0), deviation, rate, row.get("duration") or 0.0]
    )


def features(clip: Clip, row: dict) -> np.ndarray:
    return np.nan_to_num(np.concatenate([spectral(clip), prosodic(row)]))
