"""The codec's four codebooks: three for the envelope by k-means, one for pitch and phase by design.

DAC compares directions only. For an envelope one dimension of a codebook is therefore a constant: beside it, the
direction of the others tells their length too. A phase is a direction already.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor
from transformers import DacModel

from parler_assets.sample.pretraining.latent import (
    AXES,
    COS_F0,
    COS_PHASE,
    HALF_PHASE,
    HERTZ,
    LEVELS,
    PHASES,
    QUANTIZED_COS,
    QUANTIZED_SIN,
    SIN_F0,
    SIN_PHASE,
    UNVOICED,
    VOICED,
    angle_of,
)

logger = logging.getLogger(__name__)
_LOOKED_AT, _CLUSTERED = 40_000, 12_000  # frames


@torch.no_grad()
def place_codebooks(codec: DacModel, envelopes: np.ndarray, seed: int) -> None:
    """Set all codebooks and their projections, for envelopes (N, AXES)."""
    draw = np.random.default_rng(seed)
    chosen = draw.choice(len(envelopes), min(_LOOKED_AT, len(envelopes)), replace=False)
    left = torch.from_numpy(envelopes[chosen]).float()
    *residual, pitch = codec.quantizer.quantizers
    for quantizer in residual:
        power = float((left - left.mean(0)).square().mean())
        left = _place_residual(quantizer, left, seed)
        logger.info("codebook: %.1f %% of the power left", 100 * float(left.square().mean()) / power)
    _place_pitch(pitch)


def _place_residual(quantizer, points: Tensor, seed: int) -> Tensor:
    """One codebook on the main axes of points (N, AXES); returns what it leaves over of them."""
    _clear(quantizer)
    D = quantizer.codebook.weight.shape[1]
    mean = points.mean(0)
    axes = torch.linalg.svd(points - mean, full_matrices=False)[2][: D - 1]
    inner = (points - mean) @ axes.T
    constant = 3 * inner.square().sum(1).mean().sqrt()
    entries = quantizer.codebook.num_embeddings
    centres, _ = kmeans2(inner[:_CLUSTERED].numpy(), entries, iter=12, minit="++", seed=seed)
    quantizer.in_proj.weight[: D - 1, :AXES, 0] = axes
    quantizer.in_proj.bias[: D - 1] = -axes @ mean
    quantizer.in_proj.bias[D - 1] = constant
    quantizer.codebook.weight.copy_(torch.cat([torch.from_numpy(centres), constant.expand(entries, 1)], 1))
    quantizer.out_proj.weight[:AXES, : D - 1, 0] = axes.T
    quantizer.out_proj.bias[:AXES] = mean
    full = points.new_zeros(1, quantizer.in_proj.in_channels, len(points))
    full[0, :AXES] = points.T
    return points - quantizer(full)[0][0, :AXES].T


def code_of(level: int, phase: int) -> int:
    """The entry of a level of f0 and one of the phases; 0 is an unvoiced frame."""
    return 1 + level * PHASES + phase


def _place_pitch(quantizer) -> None:
    """Every level of f0 in every phase, and "unvoiced".

    Dimensions 0 to 4 are compared with the encoder's channels; 5 to 8 carry what the decoder needs as plain numbers
    and make all entries equally long; 9 keeps the entries that are left over out of reach.
    """
    _clear(quantizer)
    for row, channel in enumerate((COS_F0, SIN_F0, COS_PHASE, SIN_PHASE)):
        quantizer.in_proj.weight[row, channel, 0] = 1
    quantizer.in_proj.weight[4, UNVOICED, 0] = 2**0.5
    used = len(LEVELS) * PHASES
    f0 = torch.from_numpy(LEVELS).float().repeat_interleave(PHASES)
    angle = torch.from_numpy(angle_of(LEVELS)).float().repeat_interleave(PHASES)
    phase = (2 * torch.pi / PHASES * torch.arange(PHASES)).repeat(len(LEVELS))
    wrapped = torch.where(phase > torch.pi, phase - 2 * torch.pi, phase)
    entries = torch.zeros_like(quantizer.codebook.weight)
    voiced = entries[1 : used + 1]
    for place, values in enumerate((angle.cos(), angle.sin(), phase.cos(), phase.sin())):
        voiced[:, place] = values
    voiced[:, 5], voiced[:, 6], voiced[:, 7] = f0 / 400, wrapped / 4, 0.5
    entries[0, 4], entries[0, 7] = 2**0.5, -0.5
    entries[: used + 1, 8] = (2.2 - entries[: used + 1, 5:7].square().sum(1)).sqrt()
    entries[used + 1 :, 9] = 100
    quantizer.codebook.weight.copy_(entries)
    for channel, place, factor in (
        (HERTZ, 5, 4),
        (HALF_PHASE, 6, 2),
        (VOICED, 7, 2),
        (QUANTIZED_COS, 2, 1),
        (QUANTIZED_SIN, 3, 1),
    ):
        quantizer.out_proj.weight[channel, place, 0] = factor


def _clear(quantizer) -> None:
    for part in (quantizer.in_proj, quantizer.out_proj, quantizer.codebook):
        for parameter in part.parameters():
            parameter.zero_()
