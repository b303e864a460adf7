"""Resampling by windowed sinc, the filter that the published networks were fed through.

A Hann-windowed sinc over six zero crossings with its cut-off at 0.99 of the lower Nyquist frequency: in polyphase form,
or, where two rates have next to nothing in common (44,101 Hz needs 16,000 phases of 44,000 taps), weighted anew for
every sample. Both go through a long clip stretch by stretch, in memory that its length does not change.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

CROSSINGS = 6
ROLLOFF = 0.99
MOST_WEIGHTS = 1 << 20  # of a polyphase filter; 384 kHz to 16 kHz has 317, 44.1 kHz to 16 kHz 80,000
STRETCH = 1 << 20  # samples that are computed at once
GATHERED = 1 << 22  # values that are weighted at once where every sample has weights of its own


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Mono float32 samples (N,) at `target` Hz, (ceil(N * target / source),)."""
    if source == target:
        return samples
    step = math.gcd(source, target)
    down, up = source // step, target // step
    out = np.empty(-(-len(samples) * up // down), np.float32)
    if (2 * _reach(down, up) + down) * up <= MOST_WEIGHTS:
        _by_phases(samples, down, up, out)
    else:
        _by_samples(samples, down, up, out)
    return out


def _reach(down: int, up: int) -> int:
    """How many samples to either side a sample is made of."""
    return math.ceil(CROSSINGS * down / (min(down, up) * ROLLOFF))


def _by_phases(samples: np.ndarray, down: int, up: int, out: np.ndarray) -> None:
    """`up` samples of every `down`, those of many such blocks at once."""
    filters, reach = _filters(down, up)
    blocks = max(1, STRETCH // max(down, up))
    for first in range(0, -(-len(out) // up), blocks):
        heard = _padded(samples, first * down - reach, (first + blocks) * down + reach)
        phases = torch.nn.functional.conv1d(torch.from_numpy(heard)[None, None], filters, stride=down)[0]
        part = out[first * up : (first + blocks) * up]
        part[:] = phases.T.reshape(-1)[: len(part)].numpy()


def _by_samples(samples: np.ndarray, down: int, up: int, out: np.ndarray) -> None:
    reach = _reach(down, up)
    around = np.arange(-reach, reach + 2)
    size = max(1, GATHERED // len(around))
    for start in range(0, len(out), size):
        places = np.arange(start, min(start + size, len(out)), dtype=np.int64) * down
        whole = places // up
        time = torch.from_numpy(around - (places % up)[:, None] / up) / down
        weights = _weights(time, down, up).numpy()
        heard = _padded(samples, int(whole[0]) - reach, int(whole[-1]) + reach + 2)
        windows = np.lib.stride_tricks.sliding_window_view(heard, len(around))[whole - whole[0]]
        out[start : start + size] = np.einsum("nk,nk->n", windows, weights)


def _padded(samples: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples from `start` to `stop`, silence where there are none."""
    inside = samples[max(0, start) : max(0, stop)]
    return np.pad(inside, (max(0, -start), max(0, stop - max(0, start) - len(inside))))


@lru_cache(maxsize=16)
def _filters(down: int, up: int) -> tuple[torch.Tensor, int]:
    """One filter for each of the `up` output phases, (up, 1, 2 * reach + down), and how far they reach."""
    reach = _reach(down, up)
    offsets = torch.arange(-reach, reach + down, dtype=torch.float64) / down
    phases = (-torch.arange(up) / up)[:, None]  # in single precision, as torchaudio has them
    return _weights(phases + offsets, down, up)[:, None], reach


def _weights(time: torch.Tensor, down: int, up: int) -> torch.Tensor:
    """What a sample weighs that lies so far from the one that is made, in units of `down` samples."""
    cutoff = min(down, up) * ROLLOFF
    scaled = (time * cutoff).clamp(-CROSSINGS, CROSSINGS)
    window = torch.cos(scaled * math.pi / CROSSINGS / 2) ** 2
    return (torch.sinc(scaled) * window * (cutoff / down)).to(torch.float32)
