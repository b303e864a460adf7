"""Brouhaha's network (Lavechin et al. 2023: a SincNet, three LSTM layers, three heads) in plain torch, published keys.

Six seconds at 16 kHz (96,000 samples) become 352 frames, 270 samples apart, of speech probability, SNR and C50 in dB.
The published checkpoint is a Lightning pickle; it is read once with `weights_only=True`, the few classes in it
replaced by empty ones, and kept as safetensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import leaky_relu

from parler_assets import storage
from parler_assets.hub.errors import AnnotatorError
from parler_assets.intake.torch_files import REMEDY
from parler_assets.speech.annotation.networks.published import digest_of, fill, other_weights, read_published

TRUSTED = ("pyannote.", "brouhaha.", "pytorch_lightning.", "omegaconf.")  # whose classes may be replaced by empty ones
WHOSE = "Brouhaha"
CHUNK, STEPS = (1.0, 60.0), 1000  # seconds of a chunk; chunks that may overlap
SNR_RANGE, C50_RANGE = (-15.0, 80.0), (-10.0, 60.0)


class BrouhahaNetwork(nn.Module):
    """Chunks of waveform (B, 96000) to (B, 352, 3): speech probability, SNR and C50 in dB."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = SincNet()
        self.lstm = nn.LSTM(60, 256, num_layers=3, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(512, 128), nn.Linear(128, 128)])
        self.classifier = nn.ModuleDict(
            {"linears": nn.ModuleDict({name: nn.Linear(128, 1) for name in ("vad", "snr", "c50")})}
        )

    def forward(self, chunks: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.sincnet(chunks).transpose(1, 2))
        for layer in self.linear:
            hidden = leaky_relu(layer(hidden))
        heads: Any = self.classifier["linears"]
        speech, snr, c50 = (torch.sigmoid(heads[name](hidden)) for name in ("vad", "snr", "c50"))
        return torch.cat([speech, _falling(snr, SNR_RANGE), _falling(c50, C50_RANGE)], dim=2)


def _falling(share: torch.Tensor, span: tuple[float, float]) -> torch.Tensor:
    """The heads count down: 0 means the top of the range, 1 its bottom."""
    low, high = span
    return (low - high) * share + high


class SincNet(nn.Module):
    """Waveform (B, N) to features (B, 60, T), one frame for 270 samples."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        first = nn.ModuleDict({"filterbank": SincFilters()})
        self.conv1d = nn.ModuleList([first, nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList([nn.InstanceNorm1d(width, affine=True) for width in (80, 60, 60)])

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        first: Any = self.conv1d[0]
        hidden = first["filterbank"](self.wav_norm1d(waveform[:, None])).abs()
        hidden = leaky_relu(self.norm1d[0](pooled(hidden)))
        for convolve, norm in zip(self.conv1d[1:], self.norm1d[1:], strict=True):
            hidden = leaky_relu(norm(pooled(convolve(hidden))))
        return hidden


def pooled(hidden: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.max_pool1d(hidden, 3)


class SincFilters(nn.Module):
    """Forty learnt bands, each as a cosine and a sine filter of 251 samples, every 10 samples (Ravanelli 2018)."""

    n_: torch.Tensor
    window_: torch.Tensor

    def __init__(self, rate: int = 16000, taps: int = 251, lowest: float = 50.0, narrowest: float = 50.0) -> None:
        super().__init__()
        self.rate, self.lowest, self.narrowest = rate, lowest, narrowest
        half = taps // 2
        self.low_hz_ = nn.Parameter(torch.linspace(30, 7000, 40)[:, None])
        self.band_hz_ = nn.Parameter(torch.full((40, 1), 100.0))
        self.register_buffer("n_", 2 * math.pi * torch.arange(-half, 0.0)[None] / rate)
        self.register_buffer("window_", 0.54 - 0.46 * torch.cos(2 * math.pi * torch.arange(0.0, half) / (taps - 1)))
        self._filters: torch.Tensor | None = None

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        if self._filters is None or self._filters.device != waveform.device:
            self._filters = self.filters()
        return torch.nn.functional.conv1d(waveform, self._filters, stride=10)

    def filters(self) -> torch.Tensor:
        """The filters (80, 1, 251) that the bands mean."""
        low = self.lowest + self.low_hz_.abs()
        high = (low + self.narrowest + self.band_hz_.abs()).clamp(self.lowest, self.rate / 2)
        band = high - low
        low_phase, high_phase = low @ self.n_, high @ self.n_
        cosine = (high_phase.sin() - low_phase.sin()) / (self.n_ / 2) * self.window_
        sine = (low_phase.cos() - high_phase.cos()) / (self.n_ / 2) * self.window_
        even = torch.cat([cosine, 2 * band, cosine.flip(1)], dim=1) / (2 * band)
        odd = torch.cat([sine, torch.zeros_like(band), -sine.flip(1)], dim=1) / (2 * band)
        return torch.cat([even, odd])[:, None]


# ------------------------------------------------------------------------------------------------------------- loading


def load(path: Path, device: str) -> tuple[BrouhahaNetwork, float, float]:
    """The network with published weights, and the length and step of its chunks in seconds.

    Raises:
        AnnotatorError: the file is not such a checkpoint, or holds classes that nobody expects in it.
    """
    converted, network = _converted(path), BrouhahaNetwork()
    try:
        with safe_open(converted, framework="pt") as file:
            facts = file.metadata()
        fill(network, load_file(converted), path, WHOSE)
    except (SafetensorError, OSError) as error:
        raise AnnotatorError(f"{converted}: damaged ({error}); delete it, and it is made again") from None
    network.eval().requires_grad_(False).to(device)
    return network, float(facts["duration"]), float(facts["step"])


def _converted(path: Path) -> Path:
    """The checkpoint as safetensors, made on first use."""
    from huggingface_hub import cached_assets_path

    name = digest_of(path, WHOSE)[:16]
    target = Path(cached_assets_path("parler_assets", namespace="brouhaha")) / f"{name}.safetensors"
    if not target.is_file():
        content = _read_checkpoint(path)
        state, (duration, step) = _our_state(content.get("state_dict"), path), chunk_lengths(content, path)
        with storage.replacing(target) as temporary:
            save_file(state, temporary, {"duration": str(duration), "step": str(step)})
    return target


def _read_checkpoint(path: Path) -> dict:
    """A Lightning checkpoint, with the classes of its annotations replaced by empty ones."""
    return read_published(path, WHOSE, TRUSTED)


def _our_state(published: Any, path: Path) -> dict[str, torch.Tensor]:
    expected = BrouhahaNetwork().state_dict()
    given = published if isinstance(published, Mapping) else {}
    wrong = [name for name, value in expected.items() if not _has(given.get(name), value.numel())]
    if wrong:
        raise other_weights(path, WHOSE, f"{len(wrong)} tensors differ, such as {wrong[0]}; {REMEDY}")
    return {name: given[name].reshape(value.shape).contiguous() for name, value in expected.items()}


def _has(given: Any, numbers: int) -> bool:
    return isinstance(given, torch.Tensor) and given.layout == torch.strided and given.numel() == numbers


def chunk_lengths(content: Mapping, path: Path) -> tuple[float, float]:
    """Length and step of chunks in seconds: a tenth of the length, or the warm-up where the checkpoint has one."""
    try:
        specifications = content.get("pyannote.audio", {}).get("specifications")
        duration = float(getattr(specifications, "duration", 6.0))
        warm_up = getattr(specifications, "warm_up", None) or (0.0, 0.0)
        step = float(warm_up[0] or 0.1 * duration)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        duration = step = math.nan
    if not (CHUNK[0] <= duration <= CHUNK[1] and duration / STEPS <= step <= duration):
        raise other_weights(path, WHOSE, f"its chunks have no length from {CHUNK[0]} to {CHUNK[1]} s; {REMEDY}")
    return duration, step
