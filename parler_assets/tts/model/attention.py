"""Attention of queries over keys and values: used by training and by generation alike."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def heads(x: Tensor, size: int) -> Tensor:
    """(B, n, H * size) to (B, H, n, size)."""
    return x.unflatten(-1, (-1, size)).transpose(1, 2)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False, drop: float = 0.0
) -> Tensor:
    """What queries (B, H, n, size) find in keys and values (B, G, m, size), as (B, n, H * size).

    H is a multiple of G: consecutive queries share one key head. `mask` (B, 1, 1 or n, m) is True where a key is seen,
    or a number added to scores. Scores are scaled by size ** -0.5.
    """
    shared = queries.shape[1] != keys.shape[1]
    found = scaled_dot_product_attention(
        queries, keys, values, mask, dropout_p=drop, is_causal=causal, enable_gqa=shared
    )
    return found.transpose(1, 2).flatten(2)
