"""Weights that a few rows are multiplied with, laid out once for the fastest product that is at hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from parler_assets.tts.model import native


class Matrix:
    """Weights (out, in), several stacked, that rows are multiplied with.

    On a CPU they are laid out for the compiled product (native.py) or, without it or in bfloat16, for oneDNN. For few
    rows both read them nearly as fast as memory gives them; `linear`, which leaves float32 to MKL, takes two to four
    times as long (benchmarks/generation.py).
    """

    def __init__(self, *weights: Tensor) -> None:
        weight = weights[0] if len(weights) == 1 else torch.cat(weights)
        functions = native.library() if _is_plain(weight) else None
        self.panels = None if functions is None else native.Panels(weight, functions)
        self.packed = self.panels is None and _packs(weight)
        if self.packed:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight)
        self.weight = self.panels.panels if self.panels else weight

    def __call__(self, x: Tensor) -> Tensor:
        if self.panels:
            return self.panels(x)
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
        return linear(x, self.weight)

    def onto(self, base: Tensor, x: Tensor) -> Tensor:
        """The base (B, n, out) plus the product with x (B, n, in); the base may be overwritten."""
        if self.panels and self.panels.whole:
            return self.panels(x, base)
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise.binary(x, base, self.weight, None, "add")
        if self.panels:
            return base.add_(self.panels(x))
        base.flatten(0, 1).addmm_(x.flatten(0, 1), self.weight.t())
        return base


def _is_plain(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _packs(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    half = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 or half


def weight_of(layer: nn.Module) -> Tensor:
    """A linear layer's weight (out, in).

    Raises:
        TypeError: the layer is another, such as one with an adapter, which its weight alone would leave out.
    """
    if type(layer) is not nn.Linear:
        raise TypeError(f"cannot generate through a layer {type(layer).__name__}: merge adapters into the model first")
    return layer.weight.detach()
