"""FCNF0++, the pitch network of penn (Morrison et al. 2023), in plain torch with the published keys.

A frame of 1024 samples at 8 kHz gives 1440 logits, pitches five cents apart from 31 Hz. `fcnf0_cpu.py` computes the
same several times faster on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from parler_assets.speech.annotation.networks.published import fill, read_published

BINS = 1440
TAPS = 32  # of every convolution but the last
WINDOW, CUT = 1024, 16  # a frame loses 16 samples at its start and 15 at its end


class Fcnf0(nn.Sequential):
    """Frames of a signal to logits."""

    def __init__(self) -> None:
        super().__init__(
            layers_of(1, 256, 481, pooled=True),
            layers_of(256, 32, 225, pooled=True),
            layers_of(32, 32, 97, pooled=True),
            layers_of(32, 128, 66),
            layers_of(128, 256, 35),
            layers_of(256, 512, 4),
            nn.Conv1d(512, BINS, 4),
        )

    def logits(self, signal: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1440) of the frames that begin at `starts` (B,), even numbers, in a signal (N,).

        Frames overlap by nine tenths, so the first convolution and its pooling are computed once for the stretch of
        signal that the frames cover; from the first norm on, which sees one frame at a time, nothing can be shared.
        """
        every: Any = list(self)
        (convolve, relu, pool, norm), second, *blocks, last = every
        shared = pool(relu(convolve(stretch_of(signal, starts)[None, None])))[0]
        offsets = (starts - starts[0]) // 2
        hidden = second(norm(windows(shared, offsets, norm.normalized_shape[1]).contiguous()))
        for block in blocks:
            hidden = block(hidden)
        return nn.functional.linear(hidden.flatten(1), last.weight.flatten(1), last.bias)


def stretch_of(signal: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """What the frames at `starts` (B,) cover of a signal (N,), without the samples that every frame loses."""
    return signal[int(starts[0]) + CUT : int(starts[-1]) + WINDOW - CUT + 1]


def windows(shared: torch.Tensor, offsets: torch.Tensor, length: int) -> torch.Tensor:
    """Stretches (B, C, length) of a signal (C, N) from offsets (B,) on; a view where they are evenly spaced."""
    if len(offsets) > 1 and (offsets.diff() == offsets.diff()[0]).all():
        step = int(offsets[1] - offsets[0])
        return shared[:, int(offsets[0]) :].unfold(1, length, step)[:, : len(offsets)].transpose(0, 1)
    within = torch.arange(length, device=offsets.device)
    return shared[:, (offsets[:, None] + within).to(shared.device)].transpose(0, 1)


def layers_of(inputs: int, outputs: int, length: int, pooled: bool = False) -> nn.Sequential:
    """Convolution, ReLU, halving where pooled, and layer norm over channels and time."""
    pool = (nn.MaxPool1d(2, 2),) if pooled else ()
    return nn.Sequential(nn.Conv1d(inputs, outputs, TAPS), nn.ReLU(), *pool, nn.LayerNorm((outputs, length)))


def load(path: Path, device: str) -> Fcnf0:
    """The network with published weights (`fcnf0++.pt`: a mapping with the state under `model`).

    Raises:
        AnnotatorError: the file holds other weights.
    """
    content, network = read_published(path, "FCNF0++"), Fcnf0()
    fill(network, content.get("model", content), path, "FCNF0++")
    return network.eval().requires_grad_(False).to(device)
