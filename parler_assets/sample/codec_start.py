"""Where the training of the sample's codec starts: weights and codebooks read off the data instead of drawn.

The encoder begins as a principal transform of the waveform, the decoder as its transpose, the codebooks as k-means of
what the encoder gives. From random weights such a codec needs thousands of updates before it keeps any waveform.
"""

from __future__ import annotations

import logging
import math
from typing import Any, cast

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from transformers import DacModel

logger = logging.getLogger(__name__)

QUIET = 0.3  # of what a layer is drawn with, where the transform is to be heard above it
PATCHES = 20_000  # input vectors that a layer's principal axes are taken from


@torch.no_grad()
def place_transform(codec: DacModel, sounds: Tensor) -> None:
    """Make encoder and decoder of `codec` a transform and its inverse, from example segments (B, N).

    Each strided convolution takes the principal axes of the stretch of input that one step covers; the transposed
    convolution that mirrors it gets the same axes. Everything else stays a small disturbance, which training shapes.
    """
    scale_weights(codec)
    for layer in codec.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            layer.weight.mul_(QUIET)
    encoder, decoder = cast(Any, codec.encoder), cast(Any, codec.decoder)
    _pass_on(encoder.conv1, 1)
    _pass_on(decoder.conv2, 1)
    hidden = encoder.conv1(sounds[:, None])
    for down, up in zip(encoder.block, reversed(decoder.block), strict=True):
        for unit in (down.res_unit1, down.res_unit2, down.res_unit3, down.snake1):
            hidden = unit(hidden)
        stride = down.conv1.stride[0]
        axes = _principal_axes(_steps(hidden, stride), down.conv1.out_channels).unflatten(1, (-1, stride))
        for layer in (down.conv1, up.conv_t1):
            _set_axes(layer, axes)
        hidden = down.conv1(hidden)
    _pass_on(encoder.conv2, encoder.conv2.in_channels)
    _pass_on(decoder.conv1, decoder.conv1.in_channels)


def _steps(hidden: Tensor, stride: int) -> Tensor:
    """What each step of a strided layer newly covers: (steps, C x stride) of (B, C, T)."""
    _, C, T = hidden.shape
    whole = hidden[..., : T // stride * stride].unflatten(-1, (-1, stride))
    return whole.transpose(1, 2).reshape(-1, C * stride)


def _principal_axes(vectors: Tensor, count: int) -> Tensor:
    """The `count` orthonormal directions (count, D) that hold most of the power of `vectors` (N, D)."""
    vectors = vectors[torch.randperm(len(vectors))[:PATCHES]]
    power, axes = torch.linalg.eigh(vectors.T @ vectors)
    logger.info("transform: %.2f %% of the power kept", 100 * float(power[-count:].sum() / power.sum()))
    return axes.flip(1)[:, :count].T


def _set_axes(layer: nn.Conv1d | nn.ConvTranspose1d, axes: Tensor) -> None:
    """Axes (K, C, stride) into the middle of a strided layer's kernels, its other weights a third of the noise."""
    K, C, stride = axes.shape
    start = int(layer.padding[0])
    layer.weight.mul_(QUIET)
    layer.weight[:K, :C, start : start + stride] = axes


def _pass_on(layer: nn.Conv1d, channels: int) -> None:
    """Make the first `channels` outputs of a layer their own inputs, and little else."""
    layer.weight[:channels].mul_(QUIET)
    layer.weight[range(channels), range(channels), layer.kernel_size[0] // 2] = 1.0


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
def level_latents(codec: DacModel, latents: Tensor, level: float) -> Tensor:
    """Bring latents (frames, D) to an effective value of `level`, the decoder undoing it; the levelled ones."""
    encoder, decoder = cast(Any, codec.encoder), cast(Any, codec.decoder)
    scale = level / float(latents.square().mean().sqrt())
    encoder.conv2.weight.mul_(scale)
    encoder.conv2.bias.mul_(scale)
    decoder.conv1.weight.div_(scale)
    return latents * scale


@torch.no_grad()
def place_codebooks(codec: DacModel, latents: Tensor, seed: int) -> None:
    """Set projections and codebooks so that each codebook holds the main directions of what the ones before left over.

    DAC compares directions only. One of a codebook's dimensions is therefore a constant: beside it, the direction of
    the others tells their length too.
    """
    residual = latents
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
