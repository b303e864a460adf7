"""Training the small DAC of the sample's base checkpoint on synthesized speech, no adversary.

First encoder and decoder alone; then with a price on every bit that passes between them; then residual codebooks are
placed by k-means on what the encoder gives and all is trained together; at last the decoder alone, for codes that no
longer change. transformers' Trainer runs every part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import DacConfig, DacModel, Trainer, TrainingArguments

from parler_assets.sample.codec_losses import LowBand, MelDistance
from parler_assets.sample.codec_start import level_latents, place_codebooks, place_transform
from parler_assets.speech.dac import build_dac

CONFIG = DacConfig(
    encoder_hidden_size=12,
    decoder_hidden_size=192,
    downsampling_ratios=[20, 5, 2, 2],
    n_codebooks=8,
    codebook_size=256,
    codebook_dim=8,
    sampling_rate=16000,
)
SEGMENT = 8000  # samples
BATCH = 12  # segments
LEVEL, NOISE = 0.5, 0.1  # of latents where they are priced and quantized, and of what is added to them meanwhile


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


@dataclass(frozen=True)
class Part:
    """One part of the training: how many updates, and what it is about."""

    name: str
    updates: int
    schedule: str = "cosine"
    learning_rate: float = 0.001
    low_band: float = 1.5  # weight beside the mel distance
    bit_price: float = 0.0  # weight of the bits that latents take; without codebooks only
    narrow_rate: float = 1.0  # learning rate of encoder and codebooks, as a share of the decoder's
    quantized: bool = True
    decoder_only: bool = False


class Reconstruction(nn.Module):
    """What the Trainer trains: a codec whose forward gives its loss. Codebooks that are not placed yet are left out."""

    def __init__(self, codec: DacModel, part: Part) -> None:
        super().__init__()
        self.codec, self.part = codec, part
        rate = int(codec.config.sampling_rate)
        self.distance, self.low_band = MelDistance(rate), LowBand(rate)

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        latents, extra = self._narrowed(self.codec.encoder(samples[:, None]))
        made = self.codec.decoder(latents)[:, 0]
        real = samples[:, : made.shape[1]]
        return {"loss": self.distance(made, real) + self.part.low_band * self.low_band(made, real) + extra}

    def _narrowed(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder hears of latents (B, D, T), and the loss of getting it there."""
        if self.part.quantized:
            latents, _, _, commitment, codebook = self.codec.quantizer(latents)
            return latents, 0.1 * (0.25 * commitment.mean() + codebook.mean())
        if not self.part.bit_price:
            return latents, latents.new_zeros(())
        # Capacity of a Gaussian channel with this noise: dimensions that are not worth their bits fall silent.
        bits = 0.5 * (1 + (latents / NOISE).square()).log2().sum(1).mean()
        return latents + NOISE * torch.randn_like(latents), self.part.bit_price * bits


def train_codec(sounds: Sequence[np.ndarray], folder: Path, parts: tuple[Part, Part, Part], seed: int) -> DacModel:
    """A codec trained on mono samples at its own rate: free, at a price a bit, and with codebooks.

    `folder` keeps every part's checkpoints: a killed training goes on at the last.
    """
    torch.manual_seed(seed)
    codec = build_dac(CONFIG)
    place_transform(codec, _examples(sounds, 256, seed))
    free, priced, quantized = parts
    train_part(codec, sounds, folder, free, seed)
    level_latents(codec, _latents(codec, sounds, seed, 10_000), LEVEL)
    train_part(codec, sounds, folder, priced, seed + 1)
    latents = level_latents(codec, _latents(codec, sounds, seed, 40_000), LEVEL)
    place_codebooks(codec, latents, seed)
    train_part(codec, sounds, folder, quantized, seed + 2)
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
        learning_rate=part.learning_rate,
        lr_scheduler_type=part.schedule,
        warmup_steps=50,
        max_grad_norm=3.0,
        logging_steps=50,
        save_steps=500,
        save_total_limit=1,
        seed=seed,
        remove_unused_columns=False,
        report_to=[],
    )
    segments = Segments(sounds, part.updates * BATCH, seed)
    optimizer = torch.optim.AdamW(_groups(codec, part), betas=(0.8, 0.99), weight_decay=0.0)
    trainer = Trainer(Reconstruction(codec, part), args, train_dataset=segments, optimizers=(optimizer, None))
    trainer.train(resume_from_checkpoint=any((folder / part.name).glob("checkpoint-*")))
    for layer in [module for module in codec.modules() if parametrize.is_parametrized(module)]:
        parametrize.remove_parametrizations(layer, "weight")
    codec.requires_grad_(True).eval()


def _groups(codec: DacModel, part: Part) -> list[dict[str, Any]]:
    """What the optimizer trains: the decoder, and what it hears, which must not run away from it."""
    narrow = [*codec.encoder.parameters(), *codec.quantizer.parameters()]
    return [
        {"params": list(codec.decoder.parameters()), "lr": part.learning_rate},
        {"params": narrow, "lr": part.learning_rate * part.narrow_rate},
    ]


def _examples(sounds: Sequence[np.ndarray], count: int, seed: int) -> Tensor:
    """Random segments (count, SEGMENT)."""
    segments = Segments(sounds, count, seed)
    return torch.stack([segments[number]["samples"] for number in range(count)])


@torch.no_grad()
def _latents(codec: DacModel, sounds: Sequence[np.ndarray], seed: int, frames: int) -> Tensor:
    """Encoder outputs (frames, D) of random segments; no more of them than there are."""
    hop = math.prod(codec.config.downsampling_ratios)
    frames = min(frames, sum(len(sound) for sound in sounds) // hop)
    examples = _examples(sounds, max(frames * hop // SEGMENT, 1), seed)
    return torch.cat([codec.encoder(batch[:, None]).transpose(1, 2).flatten(0, 1) for batch in examples.split(16)])
