"""Training the small DAC of the sample's base checkpoint on synthesized speech, no adversary.

First encoder and decoder alone; then residual codebooks are placed by k-means on what the encoder gives and all is
trained together; at last the decoder alone, for codes that no longer change. transformers' Trainer runs every part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import DacConfig, DacModel, Trainer, TrainingArguments

from parler_assets.sample.codec_losses import LowBand, MelDistance
from parler_assets.sample.codec_start import place_codebooks, place_transform
from parler_assets.speech.dac import build_dac

CONFIG = DacConfig(
    encoder_hidden_size=12,
    decoder_hidden_size=240,
    downsampling_ratios=[20, 5, 2, 2],
    n_codebooks=6,
    codebook_size=256,
    codebook_dim=8,
    sampling_rate=16000,
)
SEGMENT = 8000  # samples
BATCH = 12  # segments
LOW_BAND = 5.0  # weight of the low band beside the mel distance


class Segments(torch.utils.data.Dataset):
    """A random piece of `SEGMENT` samples of a random clip; the same piece for the same number, always."""

    def __init__(self, sounds: Sequence[np.ndarray], count: int, seed: int) -> None:
        self.sounds, self.count, self.seed = sounds, count, seed
        self._share = np.cumsum([len(sound) for sound in sounds]) / sum(len(sound) for sound in sounds)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        draw = np.random.default_rng([self.seed, number])
        sound = self.sounds[min(int(np.searchsorted(self._share, draw.random())), len(self.sounds) - 1)]
        start = int(draw.integers(0, max(len(sound) - SEGMENT, 0) + 1))
        piece = np.zeros(SEGMENT, np.float32)
        piece[: len(sound) - start] = sound[start : start + SEGMENT]
        return {"samples": torch.from_numpy(piece * np.float32(draw.uniform(0.7, 1.3)))}


class Reconstruction(nn.Module):
    """What the Trainer trains: a codec whose forward gives its loss. Codebooks that are not placed yet are left out."""

    def __init__(self, codec: DacModel, quantized: bool) -> None:
        super().__init__()
        self.codec, self.quantized = codec, quantized
        rate = int(codec.config.sampling_rate)
        self.distance, self.low_band = MelDistance(rate), LowBand(rate)

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        latents = self.codec.encoder(samples[:, None])
        extra = samples.new_zeros(())
        if self.quantized:
            latents, _, _, commitment, codebook = self.codec.quantizer(latents)
            extra = 0.25 * commitment.mean() + codebook.mean()
        made = self.codec.decoder(latents)[:, 0]
        real = samples[:, : made.shape[1]]
        return {"loss": self.distance(made, real) + LOW_BAND * self.low_band(made, real) + extra}


@dataclass(frozen=True)
class Part:
    """One part of the training: how many updates, and what it is about."""

    name: str
    updates: int
    schedule: str = "cosine"
    quantized: bool = True
    decoder_only: bool = False


def train_codec(sounds: Sequence[np.ndarray], folder: Path, before: Part, after: Part, seed: int) -> DacModel:
    """A codec trained on mono samples at its own rate, its codebooks placed between two parts of the training.

    `folder` keeps every part's checkpoints: a killed training goes on at the last.
    """
    torch.manual_seed(seed)
    codec = build_dac(CONFIG)
    place_transform(codec, _examples(sounds, 256, seed))
    train_part(codec, sounds, folder, before, seed)
    place_codebooks(codec, _latents(codec, sounds, seed, 40_000), seed)
    train_part(codec, sounds, folder, after, seed + 1)
    return codec


def train_part(codec: DacModel, sounds: Sequence[np.ndarray], folder: Path, part: Part, seed: int) -> None:
    """Train `codec` in place, with the weight norm that DAC is trained with."""
    codec.apply_weight_norm()
    for module in (codec.encoder, codec.quantizer):
        module.requires_grad_(not part.decoder_only)
    args = TrainingArguments(
        output_dir=str(folder / part.name),
        max_steps=part.updates,
        per_device_train_batch_size=BATCH,
        learning_rate=0.001,
        lr_scheduler_type=part.schedule,
        warmup_steps=50,
        adam_beta1=0.8,
        adam_beta2=0.99,
        max_grad_norm=1.0,
        logging_steps=50,
        save_steps=500,
        save_total_limit=1,
        seed=seed,
        remove_unused_columns=False,
        report_to=[],
    )
    segments = Segments(sounds, part.updates * BATCH, seed)
    trainer = Trainer(Reconstruction(codec, part.quantized), args, train_dataset=segments)
    trainer.train(resume_from_checkpoint=any((folder / part.name).glob("checkpoint-*")))
    for layer in [module for module in codec.modules() if parametrize.is_parametrized(module)]:
        parametrize.remove_parametrizations(layer, "weight")
    codec.requires_grad_(True).eval()


def _examples(sounds: Sequence[np.ndarray], count: int, seed: int) -> Tensor:
    """Random segments (count, SEGMENT)."""
    segments = Segments(sounds, count, seed)
    return torch.stack([segments[number]["samples"] for number in range(count)])


@torch.no_grad()
def _latents(codec: DacModel, sounds: Sequence[np.ndarray], seed: int, frames: int) -> Tensor:
    """Encoder outputs (frames, D) of random segments."""
    hop = math.prod(codec.config.downsampling_ratios)
    examples = _examples(sounds, frames * hop // SEGMENT, seed)
    return torch.cat([codec.encoder(batch[:, None]).transpose(1, 2).flatten(0, 1) for batch in examples.split(16)])
