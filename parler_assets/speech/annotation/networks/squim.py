"""SQUIM's network for objective measures (Kumar et al. 2023) in plain torch, with the keys of the published weights.

Waveforms at 16 kHz to STOI, wide-band PESQ and SI-SDR. Loudness, group norms and pooling see the whole waveform, so
that padding would change results: a batch holds clips of one length.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad, relu, scaled_dot_product_attention

from parler_assets.speech.annotation.networks.published import fill, read_published

WIDTH, HEADS = 256, 4
CHUNK, STRIDE = 71, 35  # frames
PESQ_RANGE = (1.0, 0.999 + 4.0 / (1 + math.exp(3.8224 - 1.3669 * 4.5)))  # ITU-T P.862.2's mapping of the best score


class SquimNetwork(nn.Module):
    """Waveforms (B, N) of at least 64 samples to three scores (B,): STOI, PESQ, SI-SDR in dB."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"conv1d": nn.Conv1d(1, WIDTH, 64, stride=32, bias=False)})
        self.dprnn = DualPath()
        self.branches = nn.ModuleList([branch((0.0, 1.0)), branch(PESQ_RANGE), branch(None)])

    def forward(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        loudness = waveforms.square().mean(dim=1, keepdim=True).sqrt()
        encoder: Any = self.encoder["conv1d"]
        hidden = self.dprnn(relu(encoder((waveforms / (20 * loudness))[:, None])))
        return [branch(hidden)[:, 0] for branch in self.branches]


class DualPath(nn.Module):
    """Recurrent layers within chunks and across them (Luo et al. 2020): (B, 256, T) to (B, T, 256)."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.row_rnn = nn.ModuleList([Recurrent() for _ in range(blocks)])
        self.col_rnn = nn.ModuleList([Recurrent() for _ in range(blocks)])
        self.row_norm = nn.ModuleList([nn.GroupNorm(1, WIDTH, eps=1e-8) for _ in range(blocks)])
        self.col_norm = nn.ModuleList([nn.GroupNorm(1, WIDTH, eps=1e-8) for _ in range(blocks)])
        self.conv = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.PReLU())

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        hidden = chunked(frames)
        B, S, K, C = hidden.shape
        for row, row_norm, column, column_norm in zip(
            self.row_rnn, self.row_norm, self.col_rnn, self.col_norm, strict=True
        ):
            within = row(hidden.reshape(B * S, K, C)).view(B, S, K, C)
            hidden = hidden + row_norm(within.movedim(3, 1)).movedim(1, 3)
            across = column(hidden.transpose(1, 2).reshape(B * K, S, C)).view(B, K, S, C).transpose(1, 2)
            hidden = hidden + column_norm(across.movedim(3, 1)).movedim(1, 3)
        return merged(self.conv(hidden.movedim(3, 1)).movedim(1, 3), frames.shape[2])


def chunked(frames: torch.Tensor) -> torch.Tensor:
    """Frames (B, C, T) as half-overlapping chunks (B, S, 71, C), silence around them."""
    B, C, T = frames.shape
    rest = CHUNK - (STRIDE + T % CHUNK) % CHUNK
    padded = pad(frames, (STRIDE, rest + STRIDE))
    even = padded[:, :, :-STRIDE].reshape(B, C, -1, CHUNK)
    odd = padded[:, :, STRIDE:].reshape(B, C, -1, CHUNK)
    return torch.stack([even, odd], dim=3).flatten(2, 3).movedim(1, 3)


def merged(chunks: torch.Tensor, length: int) -> torch.Tensor:
    """Chunks (B, S, 71, C) added up where they overlap: (B, T, C)."""
    even, odd = chunks[:, ::2].flatten(1, 2), chunks[:, 1::2].flatten(1, 2)
    return (even[:, STRIDE:] + odd[:, :-STRIDE])[:, :length]


class Recurrent(nn.Module):
    """A bidirectional LSTM back to its input's width: (B, T, 256) to (B, T, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.proj = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.proj(self.rnn(hidden)[0])


class Attention(nn.Module):
    """One post-norm transformer layer with the parameter names of torch's, in memory linear in T: (B, T, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        B, T, C = hidden.shape
        joint = nn.functional.linear(hidden, self.self_attn.in_proj_weight, self.self_attn.in_proj_bias)
        query, key, value = joint.view(B, T, 3, HEADS, C // HEADS).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(B, T, C)
        hidden = self.norm1(hidden + self.self_attn.out_proj(mixed))
        return self.norm2(hidden + self.linear2(relu(self.linear1(hidden))))


class AutoPool(nn.Module):
    """A mean over time weighted by the softmax of the values themselves: (B, T, C) to (B, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return (hidden * torch.softmax(hidden * self.alpha, dim=1)).sum(dim=1)


class Bounded(nn.Module):
    """Any number to one inside a range."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.low + (self.high - self.low) * torch.sigmoid(value)


def branch(span: tuple[float, float] | None) -> nn.Sequential:
    """One measure's head: attention, pooling, two layers, and its range."""
    layers: list[nn.Module] = [nn.Linear(WIDTH, WIDTH), nn.PReLU(), nn.Linear(WIDTH, 1)]
    return nn.Sequential(Attention(), AutoPool(), nn.Sequential(*layers, *([Bounded(*span)] if span else [])))


def load(path: Path, device: str) -> SquimNetwork:
    """The network with published weights.

    Raises:
        AnnotatorError: the file holds other weights.
    """
    content, network = read_published(path, "SQUIM"), SquimNetwork()
    fill(network, content, path, "SQUIM")
    return network.eval().requires_grad_(False).to(device)
