"""Weights and sounds made by formula, so that golden files hold only what the originals gave for them.

Used by the tests and, in environments that have the originals, by `benchmarks/parity_*.py`.
"""

from __future__ import annotations

import numpy as np
import torch


def fill(network: torch.nn.Module, seed: int, sharpness: dict[str, float] | None = None) -> torch.nn.Module:
    """Set every parameter from numpy's generator, in order of its name, scaled by its fan-in; norms keep their ones.

    Args:
        sharpness: factors for parameters by name, such as a last layer that would else decide nothing.
    """
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(network.named_parameters()):
            if parameter.ndim < 2 and "bias" not in name:
                continue
            scale = 0.05 if parameter.ndim < 2 else np.prod(parameter.shape[1:]) ** -0.5
            values = generator.standard_normal(tuple(parameter.shape)) * scale
            parameter.copy_(torch.from_numpy(values * (sharpness or {}).get(name, 1.0)).to(parameter.dtype))
    return network


def sound(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Something like speech (N,): gliding harmonics that come and go, in a little noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 + 60 * seed % 100 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    loudness = np.clip(np.sin(2 * np.pi * 1.1 * time + seed), 0, 1)
    return (0.2 * loudness * voice + 0.01 * generator.standard_normal(len(time))).astype(np.float32)


def wandering(seed: int, frames: int = 200, bins: int = 1440) -> torch.Tensor:
    """Logits (T, 1440) of a pitch that glides, in noise that often has a higher peak elsewhere."""
    generator = np.random.default_rng(seed)
    centre = 700 + np.cumsum(generator.normal(0, 15, frames))
    peak = 6 * np.exp(-(((np.arange(bins) - centre[:, None]) / 12) ** 2))
    return torch.from_numpy(peak + 2.3 * generator.standard_normal((frames, bins))).float()
