"""Dropout whose masks cost a third on a CPU.

torch draws a number for every element there. Here one draw of 64 bits decides about four: the chance of being dropped
is a multiple of 1 / 65536, and what is kept is scaled by exactly that chance. The draws are torch's own, so a seed
gives the same masks again, also when a checkpointed layer is computed twice.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_STEPS = 1 << 16


def dropout(x: Tensor, chance: float, training: bool = True) -> Tensor:
    """x with elements zeroed by `chance` and the others scaled so that the expected value stays; x if not training."""
    if not training or not chance:
        return x
    dropped = round(chance * _STEPS)
    if x.device.type != "cpu" or not 0 < dropped < _STEPS:
        return functional.dropout(x, chance)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    kept = (draws.view(torch.int16)[: x.numel()] >= dropped - _STEPS // 2).view(x.shape)
    return x * kept * (_STEPS / (_STEPS - dropped))
