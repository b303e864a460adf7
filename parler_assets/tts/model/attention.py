"""Attention of queries over keys and values: used by training and by generation alike."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def split_heads(x: Tensor, size: int) -> Tensor:
    """(B, n, H * size) to (B, H, n, size)."""
    return x.unflatten(-1, (-1, size)).transpose(1, 2)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    attn_mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of queries (B, H, n, size) over keys and values (B, G, m, size), as (B, n, H * size).

    H is a multiple of G: consecutive queries share one key head. `attn_mask` (B, 1, 1 or n, m) is True where a key may
    be seen, or a bias added to scores. Scores are scaled by size ** -0.5.
    """
    grouped = queries.shape[1] != keys.shape[1]
    attended = scaled_dot_product_attention(
        queries, keys, values, attn_mask, dropout_p=dropout, is_causal=causal, enable_gqa=grouped
    )
    return attended.transpose(1, 2).flatten(2)
