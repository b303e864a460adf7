"""The encoder, by supervision: from samples to what classical analysis finds in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrizations, parametrize
from transformers import DacModel

from parler_assets.sample.pretraining.features import Features
from parler_assets.sample.pretraining.latent import AXES, COS_PHASE, ENCODED, HOP, SIN_F0, SIN_PHASE, UNVOICED
from parler_assets.sample.pretraining.loop import Schedule, train

SCHEDULE = Schedule(cycles=(2800,), rate=2e-3, betas=(0.9, 0.99))
_CLIPS, _FRAMES, _EDGE = 8, 24, 2  # of a batch: clips, frames of each, and those at both ends that do not count


def train_encoder(codec: DacModel, features: Features, state: Path, seed: int, schedule: Schedule = SCHEDULE) -> None:
    """Train the encoder of `codec` in place, under weight norm."""
    encoder = codec.encoder
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv1d)]
    for convolution in convolutions:
        parametrizations.weight_norm(convolution)
    power = float(features.latents[:, :AXES].var(0).sum())

    def loss(update: int) -> dict[str, Tensor]:
        sound, wanted = batch(features, np.random.default_rng([seed, update]))
        found = encoder(sound[:, None]).transpose(1, 2)[:, _EDGE:-_EDGE]
        return distance(found, wanted[:, _EDGE:-_EDGE], power)

    train(encoder, loss, schedule, state)
    for convolution in convolutions:
        parametrize.remove_parametrizations(convolution, "weight")


def distance(found: Tensor, wanted: Tensor, power: float) -> dict[str, Tensor]:
    """Of latents (B, T, channels): squared errors of envelope, pitch, voicing and phase, and their weighted sum."""
    error = (found[..., :ENCODED] - wanted).square()
    parts = {
        "envelope": error[..., :AXES].sum(-1).mean() / power,
        "pitch": error[..., AXES : SIN_F0 + 1].sum(-1).mean(),
        "voicing": error[..., UNVOICED].mean(),
        "phase": error[..., COS_PHASE : SIN_PHASE + 1].sum(-1).mean(),
    }
    return {"loss": 3 * parts["envelope"] + parts["pitch"] + parts["voicing"] + parts["phase"], **parts}


def batch(features: Features, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Samples (B, N) and latents (B, T, ENCODED) of random pieces; a piece may begin or end in silence."""
    sound = np.zeros((_CLIPS, _FRAMES * HOP), np.float32)
    wanted = np.tile(features.axes.silence, (_CLIPS, _FRAMES, 1))
    for row in range(_CLIPS):
        first, last = features.span(int(draw.integers(len(features))))
        start = int(draw.integers(first - _EDGE, max(last - _FRAMES + _EDGE, first) + 1))
        begin, end = max(start, first), min(start + _FRAMES, last)
        sound[row, (begin - start) * HOP : (end - start) * HOP] = features.samples(begin, end)
        wanted[row, begin - start : end - start] = features.latents[begin:end]
    return torch.from_numpy(sound), torch.from_numpy(wanted)
