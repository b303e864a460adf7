"""The decoder: oscillators shaped by the envelope until copies sound like their originals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DacModel

from parler_assets.sample.pretraining.features import Features
from parler_assets.sample.pretraining.latent import ENCODED, HOP
from parler_assets.sample.pretraining.loop import Schedule, train
from parler_assets.sample.pretraining.oscillators import place_oscillators, protect
from parler_assets.sample.pretraining.spectra import MelDistance, harmonics_distance

SCHEDULE = Schedule(cycles=(2000, 3000), rate=6e-4, betas=(0.8, 0.99))
_CLIPS, _FRAMES, _EDGE = 4, 40, 2  # of a batch: clips, frames of each, and those at both ends that do not count


def train_decoder(codec: DacModel, features: Features, state: Path, seed: int, schedule: Schedule = SCHEDULE) -> None:
    """Train the decoder of `codec`, whose codebooks are placed, in place.

    Half the clips of a batch come through the encoder, half from the analysis itself: the decoder serves both.
    """
    with torch.no_grad():
        last: Any = codec.decoder.conv2
        last.weight *= 0.05  # quiet at first
        last.bias.zero_()
    place_oscillators(codec)
    codec.eval().requires_grad_(False)
    codec.decoder.requires_grad_(True)
    protect(codec)
    mel = MelDistance()

    def loss(update: int) -> dict[str, Tensor]:
        real, latents = batch(codec, features, np.random.default_rng([seed, update]))
        with torch.no_grad():
            quantized, codes = codec.quantizer(latents)[:2]
        inner = slice(_EDGE * HOP, -_EDGE * HOP)
        made, voiced = codec.decoder(quantized)[:, 0, inner], codes[:, -1, _EDGE:-_EDGE] > 0
        parts = {"mel": mel(made, real[:, inner]), "harmonics": harmonics_distance(made, real[:, inner], voiced)}
        return {"loss": parts["mel"] + parts["harmonics"], **parts}

    train(codec.decoder, loss, schedule, state)
    codec.requires_grad_(True)


@torch.no_grad()
def batch(codec: DacModel, features: Features, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Samples (B, N) of random pieces and latents (B, channels, T): the encoder's for the first half of the rows."""
    long = np.flatnonzero(np.diff(features.ends, prepend=0) >= _FRAMES)
    sound = torch.zeros(_CLIPS, _FRAMES * HOP)
    latents = torch.zeros(_CLIPS, int(codec.config.hidden_size), _FRAMES)
    for row in range(_CLIPS):
        first, last = features.span(int(draw.choice(long)))
        start = int(draw.integers(first, last - _FRAMES + 1))
        sound[row] = torch.from_numpy(features.samples(start, start + _FRAMES))
        latents[row, :ENCODED] = torch.from_numpy(features.latents[start : start + _FRAMES]).T
    half = _CLIPS // 2
    latents[:half] = codec.encoder(sound[:half, None])
    return sound, latents
