"""The training loss: cross-entropy per codebook, then a weighted mean over codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

IGNORED = -100  # a label that is no target: what cross_entropy ignores by default


@dataclass(frozen=True)
class CodebookLoss:
    """`total` (scalar), `per_codebook` (K,) unweighted, and how many targets each codebook had, `counts` (K,)."""

    total: Tensor
    per_codebook: Tensor
    counts: Tensor


def codebook_loss(
    logits: Tensor, targets: Tensor, reduction: str = "mean", weights: Sequence[float] | None = None
) -> CodebookLoss:
    """Loss of logits (..., K, V) against targets (..., K), computed in float32 or, of float64, in that.

    Per codebook the mean or the sum over its targets; the total is their mean over codebooks, weighted if asked for.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"loss_reduction is {reduction!r}: it must be 'mean' or 'sum'")
    K = targets.shape[-1]
    wide = logits.flatten(0, -2).to(torch.promote_types(logits.dtype, torch.float32))
    each = cross_entropy(wide, targets.flatten(), ignore_index=IGNORED, reduction="none").view(-1, K)
    counts = (targets != IGNORED).view(-1, K).sum(0)
    per_codebook = each.sum(0)
    if reduction == "mean":
        per_codebook = per_codebook / counts.clamp(min=1)
    if weights is None:
        return CodebookLoss(per_codebook.mean(), per_codebook, counts)
    weighting = torch.tensor(weights, device=logits.device, dtype=per_codebook.dtype)
    return CodebookLoss((per_codebook * weighting).sum() / weighting.sum(), per_codebook, counts)
