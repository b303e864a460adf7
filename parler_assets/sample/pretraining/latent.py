"""What the channels of the codec's latent mean, and the small DAC that they belong to.

The encoder writes the first 37 channels; what the codebooks make of pitch and phase stands beside them, for the
decoder. All other channels are zero.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from transformers import DacConfig, DacModel

from parler_assets.speech.codec.dac import build_dac

RATE, HOP = 16000, 400  # Hz, samples a frame
AXES = 32  # channels of the envelope
# What the encoder says of the voice, each weighted by the voicing v: v cos b, v sin b, 1 - v, v cos p, v sin p,
# where b is the place of f0 on an arc (`angle_of`) and p the phase of the fundamental at the frame's centre.
COS_F0, SIN_F0, UNVOICED, COS_PHASE, SIN_PHASE = range(AXES, AXES + 5)
ENCODED = AXES + 5
# What the codebook of pitch and phase writes: +1 or -1 for voiced or not, f0 / 100 Hz, half the phase in radians, its
# cosine and sine.
VOICED, HERTZ, HALF_PHASE, QUANTIZED_COS, QUANTIZED_SIN = range(40, 45)

# Levels of f0 lie closer where voices are low, as pitch is heard, but not so wide at the top that a phase cannot be
# carried over half a frame. The exact pitch of a copy comes from its phases, one every 25 ms.
LEVELS = np.geomspace(165.0, 530.0, 25) - 100.0  # Hz
PHASES = 10
_ARC = 2.2  # radians on either side that the levels span: less than pi, or the ends would meet

CONFIG = DacConfig(
    encoder_hidden_size=16,
    downsampling_ratios=[10, 10, 2, 2],
    decoder_hidden_size=256,
    n_codebooks=4,  # three for the envelope, one for pitch and phase
    codebook_size=256,
    codebook_dim=16,
    sampling_rate=RATE,
)


def angle_of(f0):
    """Radians on the arc of an f0 in Hz, even steps for the levels; clipped at the arc's ends a little beyond them."""
    low, high = math.log(LEVELS[0] + 100), math.log(LEVELS[-1] + 100)
    place = (np.log(np.asarray(f0, np.float64) + 100) - low) / (high - low)
    return _ARC * (2 * np.clip(place, -0.1, 1.1) - 1)


def f0_of(angle):
    """The f0 in Hz of an angle in radians: the inverse of `angle_of`."""
    low, high = math.log(LEVELS[0] + 100), math.log(LEVELS[-1] + 100)
    return np.exp(low + (np.asarray(angle) / _ARC + 1) / 2 * (high - low)) - 100


def voice_channels(voiced: np.ndarray, f0: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """The five channels (T, 5) of voicing (T,) bool, f0 (T,) in Hz and phase (T,) in cycles."""
    v, b, p = voiced.astype(np.float32), angle_of(f0), 2 * np.pi * phase
    return np.stack([v * np.cos(b), v * np.sin(b), 1 - v, v * np.cos(p), v * np.sin(p)], 1).astype(np.float32)


def untrained(seed: int) -> DacModel:
    """The codec with random weights that keep a signal's power."""
    torch.manual_seed(seed)
    codec = build_dac(CONFIG)
    scale_weights(codec)
    return codec


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
