"""Training the small DAC of the sample's base checkpoint: log-mel reconstruction of synthesized speech, no adversary.

First encoder and decoder alone; then residual codebooks are placed by k-means on what the encoder gives and all is
trained together; at last the decoder alone, for codes that no longer change. transformers' Trainer runs every part.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers import DacConfig, DacModel, Trainer, TrainingArguments
from transformers.audio_utils import mel_filter_bank

from parler_assets.speech.codec.dac import build_dac

logger = logging.getLogger(__name__)

CONFIG = DacConfig(
    encoder_hidden_size=12,
    decoder_hidden_size=256,
    downsampling_ratios=[20, 5, 2, 2],
    n_codebooks=4,
    codebook_size=256,
    codebook_dim=8,
    sampling_rate=16000,
)
SEGMENT = 8000  # samples
BATCH = 12  # segments
# Window (samples) and mel bands of each resolution; hops are a quarter of the window.
RESOLUTIONS = ((2048, 100), (1024, 80), (512, 64), (256, 32))


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


class MelDistance(nn.Module):
    """Mean absolute difference of log-mel spectra at several resolutions, and of log spectra at the same."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        for window, bands in RESOLUTIONS:
            bank = mel_filter_bank(window // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney")
            self.register_buffer(f"bank_{window}", torch.from_numpy(bank).float())
            self.register_buffer(f"window_{window}", torch.hann_window(window))

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Of two batches of samples (B, N)."""
        total = made.new_zeros(())
        for window, _ in RESOLUTIONS:
            one, other = self._spectrum(made, window), self._spectrum(real, window)
            total = total + functional.l1_loss(self._mel(one, window), self._mel(other, window))
            total = total + 0.25 * functional.l1_loss(one.clamp(1e-2).log(), other.clamp(1e-2).log())
        return total / len(RESOLUTIONS)

    def _mel(self, spectrum: Tensor, window: int) -> Tensor:
        """Log-mel (B, T, M) of magnitudes (B, F, T)."""
        return (spectrum.transpose(1, 2) @ self.get_buffer(f"bank_{window}")).clamp(1e-4).log()

    def _spectrum(self, sound: Tensor, window: int) -> Tensor:
        """Magnitudes (B, F, T)."""
        hann = self.get_buffer(f"window_{window}")
        spectrum = torch.stft(sound, window, window // 4, window=hann, center=True, return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


class Reconstruction(nn.Module):
    """What the Trainer trains: a codec whose forward gives its loss. Codebooks that are not placed yet are left out."""

    def __init__(self, codec: DacModel, quantized: bool) -> None:
        super().__init__()
        self.codec, self.quantized = codec, quantized
        self.distance = MelDistance(int(codec.config.sampling_rate))

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        latents = self.codec.encoder(samples[:, None])
        extra = samples.new_zeros(())
        if self.quantized:
            latents, _, _, commitment, codebook = self.codec.quantizer(latents)
            extra = 0.25 * commitment.mean() + codebook.mean()
        made = self.codec.decoder(latents)[:, 0]
        return {"loss": self.distance(made, samples[:, : made.shape[1]]) + extra}


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
    scale_weights(codec)
    train_part(codec, sounds, folder, before, seed)
    place_codebooks(codec, sounds, seed)
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


@torch.no_grad()
def scale_weights(codec: DacModel) -> None:
    """Draw weights so that every layer keeps its input's power, residual branches adding a little.

    transformers draws all of them with a deviation of 0.02, which leaves nothing of a signal in so narrow a network.
    """
    for name, module in codec.named_modules():
        if isinstance(module, nn.ConvTranspose1d):
            nn.init.normal_(module.weight, std=(module.in_channels * module.kernel_size[0] / module.stride[0]) ** -0.5)
        elif isinstance(module, nn.Conv1d):
            branch = 0.3 if name.endswith("conv2") and "res_unit" in name else 1.0
            nn.init.normal_(module.weight, std=branch * (module.in_channels * module.kernel_size[0]) ** -0.5)


@torch.no_grad()
def place_codebooks(codec: DacModel, sounds: Sequence[np.ndarray], seed: int, frames: int = 40_000) -> None:
    """Set projections and codebooks so that each codebook holds the main directions of what the ones before left over.

    DAC compares directions only. One of a codebook's dimensions is therefore a constant: beside it, the direction of
    the others tells their length too.
    """
    residual = _latents(codec, sounds, seed, frames)
    for quantizer in cast("list[Any]", codec.quantizer.quantizers):
        D = quantizer.codebook.weight.shape[1]
        mean = residual.mean(0)
        _, _, axes = torch.linalg.svd(residual - mean, full_matrices=False)
        axes = axes[: D - 1]
        points = (residual - mean) @ axes.T
        constant = points.square().mean().sqrt() * math.sqrt(D - 1)
        # A thousandth, not nothing: weight norm divides by the row's length.
        quantizer.in_proj.weight.copy_(torch.cat([axes, 0.001 * axes[:1]])[..., None])
        quantizer.in_proj.bias.copy_(torch.cat([-axes @ mean, constant[None]]))
        centres, _ = kmeans2(points.numpy(), quantizer.codebook.num_embeddings, iter=15, minit="++", seed=seed)
        full = torch.cat([torch.from_numpy(centres), constant.expand(len(centres), 1)], 1)
        quantizer.codebook.weight.copy_(full)
        quantizer.out_proj.weight.copy_(torch.cat([axes.T, torch.zeros_like(axes.T[:, :1])], 1)[..., None])
        quantizer.out_proj.bias.copy_(mean)
        before = residual.square().mean()
        quantized = quantizer(residual.T[None])[0][0].T
        residual = residual - quantized
        logger.info("codebook: %.1f %% of the power left", 100 * float(residual.square().mean() / before))


def _latents(codec: DacModel, sounds: Sequence[np.ndarray], seed: int, frames: int) -> Tensor:
    """Encoder outputs (frames, D) of random segments."""
    codec.eval()
    hop = math.prod(codec.config.downsampling_ratios)
    segments = Segments(sounds, frames * hop // SEGMENT, seed)
    batches = torch.utils.data.DataLoader(segments, batch_size=16)
    found = [codec.encoder(batch["samples"][:, None]).transpose(1, 2).flatten(0, 1) for batch in batches]
    codec.train()
    return torch.cat(found)
