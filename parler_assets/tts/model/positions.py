"""Positions of the decoder: a sinusoidal table that checkpoints carry, or rotary position embeddings (RoPE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Rope = tuple[Tensor, Tensor]  # cosines and sines of every position's angles


def sinusoidal_table(rows: int, width: int) -> Tensor:
    """(rows, width): cosines of the position in the first half, sines in the second; an odd width ends in a zero."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
    angles = torch.arange(rows)[:, None] * frequencies
    table = torch.cat([angles.cos(), angles.sin()], dim=1)
    return nn.functional.pad(table, (0, width % 2))


class SinusoidalPositions(nn.Module):
    """The table as a parameter that is saved and never trained."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(sinusoidal_table(rows, width), requires_grad=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.weights[positions]


def rope_at(positions: Tensor, size: int, theta: float, dtype: torch.dtype) -> Rope:
    """Cosines and sines (B or 1, 1, n, size) of positions (n,) or (B, n), computed in float32 (Llama's convention)."""
    frequencies = theta ** (-torch.arange(0, size, 2, device=positions.device, dtype=torch.float32) / size)
    angles = positions[..., None].float() * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    angles = angles[None, None] if positions.dim() == 1 else angles[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(heads: Tensor, rope: Rope) -> Tensor:
    """Heads (B, H, n, size) rotated by their positions."""
    cosines, sines = rope
    first, second = heads.chunk(2, dim=-1)
    return heads * cosines + torch.cat([-second, first], dim=-1) * sines
