"""Products with trained weights: oneDNN's where torch would leave float32 on a CPU to MKL.

MKL does not use the 512-bit registers of AMD's processors, oneDNN does: on those every product of a training takes half
the time or less (benchmarks/training.py). Both compute in float32; sums differ in their last bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear


def through(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer of x: a plain one without bias by `multiply`, another, such as one with an adapter, by itself."""
    if type(layer) is nn.Linear and layer.bias is None:
        return multiply(x, layer.weight)
    return layer(x)


def multiply(x: Tensor, weight: Tensor) -> Tensor:
    """(..., out): x (..., in) times the transpose of a weight (out, in), with gradients of both."""
    if _by_onednn(x, weight):
        return _Product.apply(x, weight)
    return linear(x, weight)


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and x.numel() > 0
    return plain and not torch.is_autocast_enabled("cpu") and _has_onednn() and not torch.compiler.is_compiling()


def _has_onednn() -> bool:
    """Not where it is switched off (`torch.backends.mkldnn.flags`), missing, or without wider registers than MKL's."""
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return wide and torch._C._get_mkldnn_enabled() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _times(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = _times(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = _outer(gradient.flatten(0, -2), x.flatten(0, -2)) if ctx.needs_input_grad[1] else None
        return of_x, of_weight


def _times(x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def _outer(gradient: Tensor, x: Tensor) -> Tensor:
    """(out, in): gradient (n, out), transposed, times x (n, in). The left factor is copied, so the narrower is it.

    The right one is read as it lies; where rows lie apart, a slice say, oneDNN would be slower by orders of magnitude.
    """
    gradient, x = gradient.contiguous(), x.contiguous()
    if x.shape[1] < gradient.shape[1]:
        return _times(x.t(), gradient.t()).t()
    return _times(gradient.t(), x.t())
