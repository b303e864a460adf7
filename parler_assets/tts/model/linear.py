"""The linear layers of the decoder: `nn.Linear`, which a few rows at a time pass through faster on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEW = 8  # rows up to which it pays (benchmarks/generation.py)


class Linear(nn.Linear):
    """`nn.Linear` without a bias.

    A step of generation multiplies every weight with a handful of rows, so its time goes into reading weights. As
    W x^T torch reads a weight (out, in) once for all rows; as x W^T, which is the same, it takes up to twice as long,
    and a single row in bfloat16 half as long again as a product with a vector.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // max(1, x.shape[-1])
        if x.device.type != "cpu" or torch.is_grad_enabled() or not 1 <= rows <= FEW:
            return super().forward(x)
        if rows == 1:
            return torch.mv(self.weight, x.flatten()).unflatten(0, (*x.shape[:-1], -1))
        columns = self.weight @ x.flatten(0, -2).t()
        return columns.t().contiguous().unflatten(0, x.shape[:-1])
