"""FCNF0++ on a CPU: the same logits, to rounding, for a sixth of the time that its layers take one after another.

The wide convolutions are multiplied in the frequency domain (`spectral.py`). The first layer norm, over frames of
256 x 481, is folded into the convolution after it. Memory is used again and again instead of asked for.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import torch
from torch import nn

from parler_assets.speech.annotation.networks.fcnf0 import BINS, TAPS, Fcnf0, stretch_of, windows
from parler_assets.speech.annotation.networks.spectral import FixedProduct, SpectralKernels

AT_ONCE = 64  # frames that the widest convolution takes: more of them use its kernels better, fewer the cache
IN_CACHE = 4  # of these, frames that are transformed at once: as many as stay in the cache of one core
TILE = 256  # samples of one transform there: two tiles are a frame exactly
FASTEST = {225: 240, 97: 100, 66: 66, 35: 35}  # length of a signal to that of its transform, as measured


class OnCpu:
    """A network made ready for a CPU; several threads may use one at the same time."""

    @torch.inference_mode()
    def __init__(self, network: Fcnf0) -> None:
        every: Any = list(network)
        (first, _, _, norm), (second, *self.rest), *blocks, last = every
        self.first, self.first_bias = FixedProduct(first.weight[:, 0][None]), first.bias
        self.second = NormFolded(norm, second)
        lengths = [self.rest[-1].normalized_shape[1], *(block[-1].normalized_shape[1] for block in blocks)]
        self.blocks = [Block(block, length) for block, length in zip(blocks, lengths, strict=False)]
        self.last, self.last_bias = FixedProduct(last.weight.flatten(1)[None]), last.bias

    def logits(self, signal: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """As `Fcnf0.logits`: (B, 1440) of the frames that begin at `starts` (B,) in a signal (N,)."""
        hidden = torch.cat([self._front(signal, part) for part in starts.split(AT_ONCE)])
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.last(hidden.flatten(1)[None], hidden.new_empty(1, len(hidden), BINS))[0]
        return logits.add_(self.last_bias)

    def _front(self, signal: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """The first two blocks, (B, 32, 225)."""
        hidden = self.second(self._shared(stretch_of(signal, starts)), (starts - starts[0]) // 2)
        for layer in self.rest:
            hidden = layer(hidden)
        return hidden

    def _shared(self, stretch: torch.Tensor) -> torch.Tensor:
        """The first convolution, halved and rectified: (N,) to (256, (N - 31) // 2)."""
        taps = stretch.unfold(0, TAPS, 1)
        taps = taps[: len(taps) // 2 * 2]
        found = self.first(taps[None], taps.new_empty(1, len(taps), len(self.first_bias)))[0]
        return torch.maximum(found[::2], found[1::2]).add_(self.first_bias).relu_().T.contiguous()


class Block:
    """One block of the network for signals of `length` samples, (B, C, length)."""

    def __init__(self, block: Any, length: int) -> None:
        convolve, *self.rest = block
        self.kernels, self.bias = SpectralKernels(convolve.weight, FASTEST[length]), convolve.bias[:, None]

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = self.kernels(hidden).add_(self.bias)
        for layer in self.rest:
            hidden = layer(hidden)
        return hidden


class NormFolded:
    """The convolution after a layer norm, with the norm's mean and deviation applied to its far smaller output.

    conv((x - m) / d * weight + bias) is (conv(x * weight) - m * conv(weight)) / d + conv(bias): a frame of 256 x 481 is
    passed over once instead of five times. Sums for m and d slide over the shared signal, in double precision.
    """

    def __init__(self, norm: nn.LayerNorm, convolve: Any) -> None:
        self.norm = norm
        self.channels, self.length = norm.normalized_shape
        self.kernels, self.step = SpectralKernels(convolve.weight, TILE), TILE - TAPS + 1
        self.starts = range(0, self.length - TAPS + 1, self.step)
        both = nn.functional.conv1d(torch.stack([norm.weight, norm.bias]), convolve.weight)
        self.of_weight, self.of_bias = both[0], both[1] + convolve.bias[:, None]
        self.scratch = threading.local()

    def __call__(self, shared: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """The convolution's output (B, O, length - 31) for the windows at `offsets` (B,) of a signal (C, N)."""
        B, tiles = len(offsets), len(self.starts)
        spectra = self._space("spectra", (TILE // 2 + 1, B * tiles, self.channels), torch.complex64)
        for start in range(0, B, IN_CACHE):
            part = self._tiles(windows(shared, offsets[start : start + IN_CACHE], self.length))
            spectra[:, start * tiles : start * tiles + len(part)] = torch.fft.rfft(part).permute(2, 0, 1)
        found = self.kernels.back(spectra, self.step).unflatten(0, (B, tiles)).transpose(1, 2).flatten(2)
        mean, deviation = self._moments(shared, offsets)
        return found.sub_(mean * self.of_weight).div_(deviation).add_(self.of_bias)

    def _tiles(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (B, C, length) times the norm's weight, in overlapping tiles (B * tiles, C, TILE)."""
        B, C, _ = frames.shape
        tiles = self._space("tiles", (B, len(self.starts), C, TILE), torch.float32)
        for index, start in enumerate(self.starts):
            span = slice(start, start + TILE)
            torch.mul(frames[:, :, span], self.norm.weight[:, span], out=tiles[:, index])
        return tiles.flatten(0, 1)

    def _moments(self, shared: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation (B, 1, 1) of every window."""
        sums = torch.stack([shared.sum(0, dtype=torch.float64), shared.square().sum(0, dtype=torch.float64)])
        total = nn.functional.pad(sums.cumsum(1), (1, 0))
        mean, power = (total[:, offsets + self.length] - total[:, offsets]) / (len(shared) * self.length)
        deviation = (power - mean.square()).clamp(min=0).add(self.norm.eps).sqrt()
        return mean.float()[:, None, None], deviation.float()[:, None, None]

    def _space(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory of this thread's own, kept: the system would clear as much again for every batch."""
        held, size = getattr(self.scratch, name, None), math.prod(shape)
        if held is None or len(held) < size:
            held = torch.empty(size, dtype=dtype)
            setattr(self.scratch, name, held)
        return held[:size].view(shape)
