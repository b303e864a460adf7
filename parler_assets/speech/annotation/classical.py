"""SNR, C50 and speech duration by classical signal processing, without trained weights.

SNR is the distance between loud and quiet frames (95th and 8th percentile of frame energy), linearly fitted; a clip
without pauses has no quiet frames of noise alone, and there WADA (Kim and Stern 2008: the amplitude distribution of
speech is far from Gaussian) decides. C50 is a ridge regression on three marks that reverberation leaves in sub-band
envelopes: how far energy falls after peaks, how deep envelopes go, how steeply they decay. All constants come from
`benchmarks/fit_classical.py`, fitted on synthesized speech with known noise and rooms: values order clips well, but
they are not Brouhaha's numbers and should be binned by estimated edges.
"""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from importlib import resources

import numpy as np

from parler_assets.speech.annotation.measurements import NO_SPEECH, Room

RATE = 16000
WINDOW, HOP = 512, 160  # 32 ms every 10 ms
FRAMES_PER_SECOND = RATE / HOP
AT_ONCE = 1 << 14  # frames whose spectra are computed together
BANDS = np.geomspace(200, 6400, 9)  # edges in Hz
FLOOR = 1e-10  # energy of 16-bit rounding, about -100 dB
LEAST_RANGE = 6.0  # dB between loud and quiet frames below which nothing in a clip stands out as speech


def room(samples: np.ndarray) -> Room:
    """Estimate from mono samples (N,) at 16 kHz; N of at least one window."""
    spectra = power_spectra(samples)
    energy = decibels(spectra.sum(axis=1))
    speech = float(speech_frames(energy).sum() / FRAMES_PER_SECOND)
    signal_to_noise = snr(samples, energy)
    clarity = float(c50(features(spectra, signal_to_noise)[None])[0])
    if speech == 0:
        return Room(0.0, signal_to_noise, clarity, reason=NO_SPEECH)
    return Room(speech, signal_to_noise, clarity, signal_to_noise, clarity)


def power_spectra(samples: np.ndarray) -> np.ndarray:
    """Power (T, WINDOW // 2 + 1) of Hann-windowed frames, scaled so that frames sum to their mean square."""
    padded = np.pad(samples.astype(np.float32), (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = np.hanning(WINDOW).astype(np.float32)
    power = np.empty((len(frames), WINDOW // 2 + 1), np.float32)
    for start in range(0, len(frames), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        power[some] = np.abs(np.fft.rfft(frames[some] * window, axis=1)) ** 2
    power[:, 1:-1] *= 2
    power /= WINDOW * (window**2).sum()
    return power


def decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, FLOOR))


# ---------------------------------------------------------------------------------------------------------------- SNR


def speech_frames(energy: np.ndarray) -> np.ndarray:
    """Which frames (T,) rise clearly above the clip's quiet ones; gaps and bursts under 50 ms are smoothed away."""
    loud, quiet = np.percentile(energy, (95, 8))
    if loud - quiet < LEAST_RANGE or loud < decibels(np.array(FLOOR)) + LEAST_RANGE:
        return np.zeros(len(energy), bool)
    active = energy > quiet + max(LEAST_RANGE, 0.35 * (loud - quiet))
    padded = np.pad(active, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 5).sum(axis=1) > 2


def snr(samples: np.ndarray, energy: np.ndarray) -> float:
    """Signal to noise in dB, from samples (N,) and frame energies (T,) in dB."""
    fitted = constants()["snr"]
    loud, quiet = np.percentile(energy, (95, 8))
    if has_pauses(energy):
        return float(fitted["slope"] * (loud - quiet) + fitted["offset"])
    return float(fitted["wada_slope"] * wada(samples) + fitted["wada_offset"])


def has_pauses(energy: np.ndarray) -> bool:
    """Whether the quiet frames lie close together, as steady noise does and the troughs of running speech do not."""
    low, middle = np.percentile(energy, (3, 12))
    return bool(middle - low < constants()["snr"]["pause_spread"])


def wada(samples: np.ndarray) -> float:
    """SNR in dB by the shape of the amplitude distribution (N,): log of the mean against the mean of the logs."""
    amplitude = np.abs(samples)
    amplitude = amplitude[amplitude > 1e-7].astype(np.float64)
    if amplitude.size == 0:
        return float(constants()["wada"]["snr"][0])
    loudness = np.log(amplitude.mean())
    shape = loudness - np.log(amplitude, out=amplitude).mean()
    table = constants()["wada"]
    return float(np.interp(shape, table["shape"], table["snr"]))


# ---------------------------------------------------------------------------------------------------------------- C50


def features(spectra: np.ndarray, signal_to_noise: float) -> np.ndarray:
    """Fall after peaks, depth and steepest decay of sub-band envelopes, and the SNR that limits them: (4,)."""
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    edges = itertools.pairwise(BANDS)
    bands = [spectra[:, (frequencies >= low) & (frequencies < high)].sum(axis=1) for low, high in edges]
    envelopes = decibels(np.stack(bands))
    return np.array(
        [_fall_after_peaks(envelopes), np.mean(np.std(envelopes, axis=1)), _steepest_decay(envelopes), signal_to_noise]
    )


def _fall_after_peaks(envelopes: np.ndarray, after: int = 16) -> float:
    """Typical large drop in dB within 160 ms after a peak, over bands (B, T) that have one early enough to see it."""
    length = envelopes.shape[1]
    early = envelopes[:, : max(0, length - after)]
    seen = (early >= np.percentile(envelopes, 70, axis=1, keepdims=True)).any(axis=1)
    if length <= after + 2 or not seen.any():
        return float(np.mean(np.ptp(envelopes, axis=1)))
    envelopes = envelopes[seen]
    ahead = np.lib.stride_tricks.sliding_window_view(envelopes, after, axis=1).min(axis=2)
    here = envelopes[:, : ahead.shape[1]]
    peak = here >= np.percentile(envelopes, 70, axis=1, keepdims=True)
    drops = np.where(peak, here - ahead, np.nan)
    return float(np.mean(np.nanpercentile(drops, 85, axis=1)))


def _steepest_decay(envelopes: np.ndarray, span: int = 7) -> float:
    """The fastest steady fall in dB per second over 70 ms, as the 4th percentile of slopes, mean over bands (B, T)."""
    if envelopes.shape[1] < span:
        return 0.0
    steps = np.arange(span) - (span - 1) / 2
    windows = np.lib.stride_tricks.sliding_window_view(envelopes, span, axis=1)
    slopes = windows @ steps / (steps**2).sum() * FRAMES_PER_SECOND
    return float(np.mean(np.percentile(slopes, 4, axis=1)))


def c50(marks: np.ndarray) -> np.ndarray:
    """Clarity in dB from features (N, 4), cut to what the fit has seen."""
    fitted = constants()["c50"]
    scaled = (marks - np.array(fitted["mean"])) / np.array(fitted["scale"])
    return np.clip(scaled @ np.array(fitted["weights"]) + fitted["offset"], *fitted["range"])


@lru_cache(maxsize=1)
def constants() -> dict:
    """What `benchmarks/fit_classical.py` found."""
    file = resources.files("parler_assets.speech.annotation") / "classical.json"
    return json.loads(file.read_text(encoding="utf-8"))
