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
        (convolve, relu, pool, norm), *blocks, last = every
        first = int(starts[0])
        stretch = signal[first + CUT : int(starts[-1]) + WINDOW - CUT + 1]
        shared = pool(relu(convolve(stretch[None, None])))[0]
        offsets = (starts - first) // 2
        if len(starts) > 1 and (offsets.diff() == offsets[1]).all():
            frames = shared.unfold(1, norm.normalized_shape[1], int(offsets[1])).transpose(0, 1)
        else:
            within = torch.arange(norm.normalized_shape[1], device=offsets.device)
            frames = shared[:, (offsets[:, None] + within).to(shared.device)].transpose(0, 1)
        hidden = norm(frames.contiguous())
        for block in blocks:
            hidden = block(hidden)
        return torch.nn.functional.linear(hidden.flatten(1), last.weight.flatten(1), last.bias)


class Convolution(nn.Conv1d):
    """A valid convolution (B, C, L) to (B, O, L - 31); on a CPU by multiplication of spectra."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 32)
        self._spectra: dict[int, torch.Tensor] = {}

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        if signal.is_cuda or torch.is_grad_enabled():
            return super().forward(signal)
        if self.in_channels == 1:
            return self._as_product(signal)
        length = signal.shape[2]
        size = next_fast_len(length, real=True)
        spectrum = torch.fft.rfft(signal, size).permute(2, 0, 1)
        product = torch.bmm(spectrum, self._weight_spectrum(size))
        result = torch.fft.irfft(product.permute(1, 2, 0), size)[:, :, : length - 31]
        return result + self.bias[:, None] if self.bias is not None else result

    def _as_product(self, signal: torch.Tensor) -> torch.Tensor:
        """One channel in (1, 1, L): a matrix product with the signal's windows."""
        windows = signal[0, 0].unfold(0, 32, 1)
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
