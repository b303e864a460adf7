"""Resampling by windowed sinc, the filter that the published networks were fed through.

A Hann-windowed sinc over six zero crossings with its cut-off at 0.99 of the lower Nyquist frequency, in polyphase form.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

CROSSINGS = 6
ROLLOFF = 0.99


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Mono float32 samples (N,) at `target` Hz, (ceil(N * target / source),)."""
    if source == target:
        return samples
    step = math.gcd(source, target)
    down, up = source // step, target // step
    filters, reach = _filters(down, up)
    padded = torch.nn.functional.pad(torch.from_numpy(samples)[None, None], (reach, reach + down))
    phases = torch.nn.functional.conv1d(padded, filters, stride=down)[0]
    return phases.T.reshape(-1)[: -(-len(samples) * up // down)].numpy()


@lru_cache(maxsize=16)
def _filters(down: int, up: int) -> tuple[torch.Tensor, int]:
    """One filter for each of the `up` output phases, (up, 1, 2 * reach + down), and how far they reach."""
    cutoff = min(down, up) * ROLLOFF
    reach = math.ceil(CROSSINGS * down / cutoff)
    offsets = torch.arange(-reach, reach + down, dtype=torch.float64) / down
    phases = (-torch.arange(up) / up)[:, None]  # in single precision, as torchaudio has them
    time = ((phases + offsets) * cutoff).clamp(-CROSSINGS, CROSSINGS)
    window = torch.cos(time * math.pi / CROSSINGS / 2) ** 2
    return (torch.sinc(time) * window * (cutoff / down)).to(torch.float32)[:, None], reach
