"""A decoder that starts with oscillators: its first layers are written, not learnt, and gradients leave them alone.

A convolution cannot run a phase on from frame to frame. It can, from a phase at every frame's centre and the f0 of the
step between two of them, give the fundamental's cosine and sine in between: cos 2z = 1 - 2 sin^2 z, and the activation
of DAC is x + sin^2(a x) / a. Every moment is reached from the centres on both of its sides and the two cross-faded, so
that the pitch which is heard is the one that the phases tell, finer than the levels of f0.

The carriers arrive at 1600 Hz, in the first two channels of the third block's output, and go up to 16 kHz by linear
interpolation. All other channels are free to learn how to shape them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DacModel

from parler_assets.sample.pretraining.latent import CONFIG, HALF_PHASE, HERTZ, HOP, RATE

STEPS = 40  # of a frame at 1600 Hz
_SIDES, _PARTS = 2, 2  # the frame's own centre and the other one; cosine and sine
_PLAIN = 5  # channels that carry the arguments themselves: three half phases, two f0
# Channels that belong to the oscillators after the first convolution and after each of the four blocks.
RESERVED = (_SIDES * _PARTS * STEPS + _PLAIN, 40, 20, 2, 2)


@torch.no_grad()
def place_oscillators(codec: DacModel) -> None:
    """Write the carriers' path into a codec of `CONFIG`, whose other weights stay."""
    if list(CONFIG.downsampling_ratios[::-1]) != [2, 2, 10, 10]:
        raise ValueError("the oscillators are laid out for upsampling by 2, 2, 10, 10")
    decoder: Any = codec.decoder
    _place_arguments(decoder.conv1)
    snake = decoder.block[0].snake1.alpha
    snake[:, : RESERVED[0] - _PLAIN] = 1
    snake[:, RESERVED[0] - _PLAIN : RESERVED[0]] = 1e-3
    _place_crossfade(decoder.block[0].conv_t1)
    for block, taken in zip(decoder.block[1:], RESERVED[1:], strict=False):
        block.snake1.alpha[:, :taken] = 0.01  # as good as linear
    _spread(decoder.block[1].conv_t1, 20, 2, 1)
    _spread(decoder.block[2].conv_t1, 10, 10, 5)
    _interpolate(decoder.block[3].conv_t1)
    for block, taken in zip(decoder.block, RESERVED[1:], strict=True):
        for unit in (block.res_unit1, block.res_unit2, block.res_unit3):
            unit.conv2.weight[:taken] = 0
            unit.conv2.bias[:taken] = 0


def _moments() -> Tensor:
    """Seconds from the frame's centre of its steps."""
    return (torch.arange(STEPS) + 0.5 - STEPS / 2) / (STEPS * RATE / HOP)


def _arguments() -> list[tuple[int, int, float, float]]:
    """Of the own and then the other side, for every step: taps of phase and f0, seconds to go, share in the cross-fade.

    Tap 3 is the frame itself, 2 the one before, 4 the next; the f0 between two centres is the later one's.
    """
    frame, found = HOP / RATE, []
    for own in (True, False):
        for moment in _moments().tolist():
            early = moment < 0
            other, away = (2, moment + frame) if early else (4, moment - frame)
            share = abs(moment) / frame
            found.append((3, 3 if early else 4, moment, 1 - share) if own else (other, 3 if early else 4, away, share))
    return found


def _place_arguments(conv: Any) -> None:
    """z = phase / 2 + pi f0 t for every step and side, plus pi / 4 for the sines; then the plain arguments."""
    conv.weight[: RESERVED[0]] = 0
    conv.bias[: RESERVED[0]] = 0
    arguments = _arguments()
    for part in range(_PARTS):
        for place, (phase, f0, seconds, _) in enumerate(arguments):
            channel = part * len(arguments) + place
            conv.weight[channel, HALF_PHASE, phase] = 1
            conv.weight[channel, HERTZ, f0] = math.pi * 100 * seconds
            conv.bias[channel] = part * math.pi / 4
    for place, (latent, tap) in enumerate(_plain()):
        conv.weight[RESERVED[0] - _PLAIN + place, latent, tap] = 1


def _plain() -> list[tuple[int, int]]:
    return [(HALF_PHASE, 2), (HALF_PHASE, 3), (HALF_PHASE, 4), (HERTZ, 3), (HERTZ, 4)]


def _place_crossfade(up: Any) -> None:
    """Cosines (20) and sines (20) of half a frame from z + sin^2 z of both sides, less the z.

    cos 2z = 1 - 2 sin^2 z, and sin 2z = 2 sin^2(z + pi / 4) - 1.
    """
    up.weight[:, : RESERVED[1]] = 0
    up.bias[: RESERVED[1]] = 0
    arguments, plain, first = _arguments(), _plain(), RESERVED[0] - _PLAIN
    for part in range(_PARTS):
        sign = 2.0 if part else -2.0
        for place, (phase, f0, seconds, share) in enumerate(arguments):
            step = place % STEPS
            half, out = step // 20, part * 20 + step % 20
            tap, weight = 1 + half, sign * share
            up.weight[part * len(arguments) + place, out, tap] = weight
            up.weight[first + plain.index((HALF_PHASE, phase)), out, tap] -= weight
            up.weight[first + plain.index((HERTZ, f0)), out, tap] -= weight * math.pi * 100 * seconds
        up.bias[part * 20 : part * 20 + 20] = -1 - sign * math.pi / 4 if part else 1


def _spread(up: Any, steps: int, ratio: int, first_tap: int) -> None:
    """From `steps` channels a part to `steps / ratio`: what stood in channels comes to stand in time."""
    fewer = steps // ratio
    up.weight[:, : 2 * fewer] = 0
    up.bias[: 2 * fewer] = 0
    for part in range(_PARTS):
        for step in range(steps):
            up.weight[part * steps + step, part * fewer + step % fewer, first_tap + step // fewer] = 1


def _interpolate(up: Any) -> None:
    """Ten samples for each, linear in between."""
    up.weight[:, :_PARTS] = 0
    up.bias[:_PARTS] = 0
    for part in range(_PARTS):
        up.weight[part, part] = 1 - (torch.arange(20) - 9.5).abs() / 10


def protect(codec: DacModel) -> None:
    """Keep gradients away from the carriers' path; for plain weights, without weight norm."""
    decoder: Any = codec.decoder
    _mask(decoder.conv1.weight, slice(0, RESERVED[0]))
    _mask(decoder.conv1.bias, slice(0, RESERVED[0]))
    for block, before, after in zip(decoder.block, RESERVED, RESERVED[1:], strict=False):
        _mask(block.snake1.alpha, (slice(None), slice(0, before)))
        _mask(block.conv_t1.weight, (slice(None), slice(0, after)))
        _mask(block.conv_t1.bias, slice(0, after))
        for unit in (block.res_unit1, block.res_unit2, block.res_unit3):
            _mask(unit.conv2.weight, slice(0, after))
            _mask(unit.conv2.bias, slice(0, after))


def _mask(parameter: nn.Parameter, place) -> None:
    free = torch.ones_like(parameter)
    free[place] = 0
    parameter.register_hook(lambda gradient: gradient * free)
