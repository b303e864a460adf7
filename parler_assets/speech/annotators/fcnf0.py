"""FCNF0++, the pitch network of penn (Morrison et al. 2023), in plain torch with the published keys.

A frame of 1024 samples at 8 kHz gives 1440 logits, pitches five cents apart from 31 Hz. On a CPU the wide convolutions
are computed in the frequency domain, which needs a quarter of the multiplications; results agree to rounding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import nn

from parler_assets.speech.annotators.pitch import AnnotatorError

BINS = 1440
TAPS = 32  # of every convolution but the last
WINDOW, CUT = 1024, 16  # a frame loses 16 samples at its start and 15 at its end
AT_ONCE = 32  # frames that the widest convolution takes on a CPU: as many as stay in its cache


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
        self._folded: NormFolded | None = None

    def logits(self, signal: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1440) of the frames that begin at `starts` (B,), even numbers, in a signal (N,).

        Frames overlap by nine tenths, so the first convolution and its pooling are computed once for the stretch of
        signal that the frames cover; from the first norm on, which sees one frame at a time, nothing can be shared.
        """
        every: Any = list(self)
        (convolve, relu, pool, norm), second, *blocks, last = every
        first = int(starts[0])
        stretch = signal[first + CUT : int(starts[-1]) + WINDOW - CUT + 1]
        shared = pool(relu(convolve(stretch[None, None])))[0]
        offsets = (starts - first) // 2
        if signal.is_cuda or torch.is_grad_enabled():
            hidden = second(norm(windows(shared, offsets, norm.normalized_shape[1]).contiguous()))
        else:
            folded = self._folded or NormFolded(norm, second[0])
            self._folded = folded
            hidden = torch.cat([second[1:](folded(shared, part)) for part in offsets.split(AT_ONCE)])
        for block in blocks:
            hidden = block(hidden)
        return torch.nn.functional.linear(hidden.flatten(1), last.weight.flatten(1), last.bias)


def windows(shared: torch.Tensor, offsets: torch.Tensor, length: int) -> torch.Tensor:
    """Stretches (B, C, length) of a signal (C, N) from offsets (B,) on; a view where they are evenly spaced."""
    if len(offsets) > 1 and (offsets.diff() == offsets.diff()[0]).all():
        step = int(offsets[1] - offsets[0])
        return shared[:, int(offsets[0]) :].unfold(1, length, step)[:, : len(offsets)].transpose(0, 1)
    within = torch.arange(length, device=offsets.device)
    return shared[:, (offsets[:, None] + within).to(shared.device)].transpose(0, 1)


class NormFolded:
    """The convolution after a layer norm, with the norm's mean and deviation applied to its far smaller output.

    conv((x - m) / d * weight + bias) is (conv(x * weight) - m * conv(weight)) / d + conv(bias): a frame of 256 x 481 is
    passed over once instead of five times. Sums for m and d slide over the shared signal, in double precision.
    """

    def __init__(self, norm: torch.nn.LayerNorm, convolve: Convolution) -> None:
        self.norm, self.convolve = norm, convolve
        self.length = norm.normalized_shape[1]
        self.size = next_fast_len(self.length, real=True)
        self.scaled = torch.zeros(AT_ONCE, norm.normalized_shape[0], self.size)
        self.of_weight, of_bias = convolve.spectral(torch.stack([norm.weight, norm.bias]))
        self.of_bias = of_bias + (0 if convolve.bias is None else convolve.bias[:, None])

    def __call__(self, shared: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """The convolution's output (B, O, length - 31) for the windows at `offsets` (B,) of a signal (C, N)."""
        mean, deviation = self._moments(shared, offsets)
        scaled = self.scaled[: len(offsets)]
        torch.mul(windows(shared, offsets, self.length), self.norm.weight, out=scaled[:, :, : self.length])
        found = self.convolve.spectral(scaled)[:, :, : self.length - TAPS + 1]
        return found.sub_(mean * self.of_weight).div_(deviation).add_(self.of_bias)

    def _moments(self, shared: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation (B, 1, 1) of every window."""
        sums = torch.stack([shared.sum(0, dtype=torch.float64), shared.square().sum(0, dtype=torch.float64)])
        total = torch.nn.functional.pad(sums.cumsum(1), (1, 0))
        mean, power = (total[:, offsets + self.length] - total[:, offsets]) / (len(shared) * self.length)
        deviation = (power - mean.square()).clamp(min=0).add(self.norm.eps).sqrt()
        return mean.float()[:, None, None], deviation.float()[:, None, None]


class Convolution(nn.Conv1d):
    """A valid convolution (B, C, L) to (B, O, L - 31); on a CPU by multiplication of spectra."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, TAPS)
        self._spectra: dict[int, torch.Tensor] = {}

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        if signal.is_cuda or torch.is_grad_enabled():
            return super().forward(signal)
        if self.in_channels == 1:
            return self._as_product(signal)
        result = self.spectral(signal)
        return result + self.bias[:, None] if self.bias is not None else result

    def spectral(self, signal: torch.Tensor) -> torch.Tensor:
        """The convolution without its bias."""
        length = signal.shape[2]
        size = next_fast_len(length, real=True)
        spectrum = torch.fft.rfft(signal, size).permute(2, 0, 1)
        product = torch.bmm(spectrum, self._weight_spectrum(size))
        return torch.fft.irfft(product.permute(1, 2, 0), size)[:, :, : length - TAPS + 1]

    def _as_product(self, signal: torch.Tensor) -> torch.Tensor:
        """One channel in (1, 1, L): a matrix product with the signal's windows."""
        windows = signal[0, 0].unfold(0, TAPS, 1)
        return torch.nn.functional.linear(windows, self.weight[:, 0], self.bias).T[None]

    def _weight_spectrum(self, size: int) -> torch.Tensor:
        """Conjugate spectra of the kernels (F, C, O): torch's convolution is a correlation."""
        if size not in self._spectra:
            self._spectra[size] = torch.fft.rfft(self.weight, size).conj().permute(2, 1, 0).contiguous()
        return self._spectra[size]


def layers_of(inputs: int, outputs: int, length: int, pooled: bool = False) -> nn.Sequential:
    """Convolution, ReLU, halving where pooled, and layer norm over channels and time."""
    pool = (nn.MaxPool1d(2, 2),) if pooled else ()
    return nn.Sequential(Convolution(inputs, outputs), nn.ReLU(), *pool, nn.LayerNorm((outputs, length)))


def load(path: Path, device: str) -> Fcnf0:
    """The network with published weights (`fcnf0++.pt`: a mapping with the state under `model`).

    Raises:
        AnnotatorError: the file holds other weights.
    """
    network = Fcnf0()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(content.get("model", content))
    except (RuntimeError, AttributeError) as error:
        raise AnnotatorError(f"{path}: not the weights of FCNF0++: {str(error).splitlines()[0]}") from None
    return network.eval().requires_grad_(False).to(device)
