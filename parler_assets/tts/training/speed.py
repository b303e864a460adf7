"""Arithmetic and time: what an update costs, how fast it went, how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Dense bfloat16 peaks in FLOP/s as the makers' data sheets state them, by a part of the device's name.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 5090": 210e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def peak(device: str) -> float | None:
    """FLOP/s that the device could reach: by its data sheet in bfloat16, None for a GPU that is not known here.

    A CPU has no such sheet: the fastest of a few float32 matrix products of this process stands for it.
    """
    if not device.startswith("cuda"):
        return _product_speed()
    name = torch.cuda.get_device_name(device)
    return next((value for key, value in PEAKS.items() if key in name), None)


def _product_speed(size: int = 768, times: int = 5) -> float:
    a, seconds = torch.ones(size, size), []
    for _ in range(times):
        started = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def training_flops(decoder, frames: np.ndarray, prompts: np.ndarray, descriptions: np.ndarray) -> np.ndarray:
    """FLOP of forward and backward for clips of these lengths (N,), without padding, text encoder and recomputation.

    Two FLOP a multiplication, backward twice the forward; causal self-attention looks at half the positions on average.
    `decoder` is the checkpoint's decoder configuration.
    """
    d, f, layers = decoder.hidden_size, decoder.ffn_dim, decoder.num_hidden_layers
    head = d // decoder.num_attention_heads
    own, cross = (
        head * (getattr(decoder, name, None) or decoder.num_attention_heads)
        for name in ("num_key_value_heads", "num_cross_attention_key_value_heads")
    )
    labels = frames + decoder.num_codebooks
    positions = (labels + prompts).astype(np.float64)
    linear = 2 * positions * (4 * d * d + 2 * d * own + 2 * d * f) + 2 * descriptions * 2 * d * cross
    attention = 2 * d * positions**2 + 4 * d * positions * descriptions
    heads = 2 * labels * decoder.num_codebooks * decoder.vocab_size * d
    return 3 * (layers * (linear + attention) + heads)


class Meter:
    """Frames and FLOP against time. Evaluations and checkpoints do not count as speed, but as time left they do."""

    def __init__(self, peak: float | None) -> None:
        self.peak, self.started = peak, time.perf_counter()
        self._reset()

    def _reset(self) -> None:
        self.frames, self.flops, self.idle, self.since = 0, 0.0, 0.0, time.perf_counter()

    def count(self, frames: int, flops: float) -> None:
        self.frames, self.flops = self.frames + frames, self.flops + flops

    @contextmanager
    def paused(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.idle += time.perf_counter() - started

    def report(self, done: int, left: int) -> dict[str, float]:
        """Speed since the last report. `done` updates were made by this process since it started, `left` remain."""
        now = time.perf_counter()
        seconds = now - self.since - self.idle
        line = {"frames_per_second": round(self.frames / seconds, 1)}
        if self.peak:
            line["mfu"] = round(self.flops / seconds / self.peak, 4)
        self._reset()
        elapsed = now - self.started
        return line | {"seconds": round(elapsed, 2), "seconds_left": round(elapsed / done * left, 1)}
