"""Layers of a codec in use, on a CPU: convolutions with their weights laid out once, and the activation in one pass.

For the few frames at the start of a decoder, where weights are large and sounds short, laying weights out at every call
takes most of the time; torch gives convolutions of width 1 to a slower library; and it makes five passes over the
samples for one activation (benchmarks/codec.py).
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.models.dac.modeling_dac import Snake1d

from parler_assets.speech.codec import native

SNAKE = Path(__file__).with_name("snake.cpp")


_made: WeakKeyDictionary[nn.Module, tuple[tuple, Tensor]] = WeakKeyDictionary()


def lay_out(network: nn.Module) -> None:
    """Let a network's layers be those of this file. They still train, save and load as before."""
    for module in network.modules():
        if type(module) is Snake1d:
            module.__class__ = Snake
        elif type(module) is nn.Conv1d:
            module.__class__ = Convolution
        elif type(module) is nn.ConvTranspose1d:
            module.__class__ = TransposedConvolution


class Convolution(nn.Conv1d):
    """`nn.Conv1d` with a weight that is laid out when first used, and again after it has changed."""

    def forward(self, x: Tensor) -> Tensor:
        if not _lays_out(self, x):
            return super().forward(x)
        geometry = [0, int(self.padding[0])], [1, self.stride[0]], [1, self.dilation[0]], self.groups
        weight = _laid_out(self, torch.ops.mkldnn._reorder_convolution_weight, geometry, x)
        plane = torch.ops.mkldnn._convolution_pointwise(
            x.unsqueeze(2), weight, self.bias, *geometry, "none", [], ""
        )  # fmt: skip
        return plane.squeeze(2)


class TransposedConvolution(nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` with a weight that is laid out when first used, and again after it has changed."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _lays_out(self, x):
            return super().forward(x, output_size)
        padding, more = [0, int(self.padding[0])], [0, self.output_padding[0]]
        geometry = padding, more, [1, self.stride[0]], [1, self.dilation[0]], self.groups
        weight = _laid_out(self, torch.ops.mkldnn._reorder_convolution_transpose_weight, geometry, x)
        plane = torch.ops.mkldnn._convolution_transpose_pointwise(
            x.unsqueeze(2), weight, self.bias, *geometry, "none", [], ""
        )  # fmt: skip
        return plane.squeeze(2)


class Snake(Snake1d):
    """x + sin(alpha x)^2 / (alpha + 1e-9) for samples (B, C, n) and alpha (1, C, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        functions = native.compiled(SNAKE) if _in_use(x) else None
        if functions is None:
            return super().forward(x)
        rows = x.transpose(1, 2).contiguous()  # as a laid out convolution leaves them: nothing is copied
        y = torch.empty_like(rows)
        B, n, C = rows.shape
        places = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (rows, self.alpha, y)]
        functions.snake(*places, ctypes.c_long(B * n), ctypes.c_long(C), native.threads(8 * y.numel()))
        return y.transpose(1, 2)


def _in_use(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.dim() == 3 and not torch.is_grad_enabled()


def _lays_out(module: nn.Conv1d | nn.ConvTranspose1d, x: Tensor) -> bool:
    return _in_use(x) and module.padding_mode == "zeros" and torch.backends.mkldnn.is_available()


def _laid_out(module: nn.Conv1d | nn.ConvTranspose1d, reorder, geometry: tuple, x: Tensor) -> Tensor:
    weight = module.weight
    state = weight.data_ptr(), weight._version
    known = _made.get(module)
    if known is None or known[0] != state:
        shape = [1, x.shape[1], 1, x.shape[2]]
        known = _made[module] = state, reorder(weight.detach().unsqueeze(2), *geometry, shape)
    return known[1]
