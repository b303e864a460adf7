"""The decoder: a causal transformer over [prompt | columns of codes] that reads the description by cross-attention.

`generation/decoder.py` runs the same layers column by column over a KV cache.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from parler_assets.tts.model.attention import attend, split_heads
from parler_assets.tts.model.config import ParlerTTSDecoderConfig
from parler_assets.tts.model.linear import Linear
from parler_assets.tts.model.positions import Rope, SinusoidalPositions, rope_at, rotate
from parler_assets.tts.model.varlen import Packing

# What a cross-attention sees: everything, where a mask is True, or every clip of a packed batch its own description.
AttentionMask = Tensor | Packing | None


class Attention(nn.Module):
    """Multi-head attention; the query heads share `key_value_heads` in consecutive groups. No biases."""

    def __init__(self, config: ParlerTTSDecoderConfig, key_value_heads: int) -> None:
        super().__init__()
        d, size = config.hidden_size, config.head_size
        self.k_proj = Linear(d, key_value_heads * size)
        self.v_proj = Linear(d, key_value_heads * size)
        self.q_proj = Linear(d, d)
        self.out_proj = Linear(d, d)
        self.size, self.key_value_heads, self.dropout = size, key_value_heads, config.attention_dropout

    def queries(self, x: Tensor, rope: Rope | None) -> Tensor:
        """(B, H, n, size) of x (B, n, d)."""
        queries = split_heads(self.q_proj(x), self.size)
        return queries if rope is None else rotate(queries, rope)

    def keys_values(self, states: Tensor, rope: Rope | None = None) -> tuple[Tensor, Tensor]:
        """Two of (B, G, m, size) of states (B, m, d)."""
        keys, values = split_heads(self.k_proj(states), self.size), split_heads(self.v_proj(states), self.size)
        return (keys if rope is None else rotate(keys, rope)), values

    def forward(
        self, x: Tensor, states: Tensor, rope: Rope | None, attn_mask: AttentionMask = None, causal: bool = False
    ) -> Tensor:
        """Attend from x (B, n, d) to states (B, m, d), where a mask (B, 1, 1, m) is True, or as packed.

        `rope` rotates the queries, and the keys too if `causal`: where x attends to itself.
        """
        queries, (keys, values) = self.queries(x, rope), self.keys_values(states, rope if causal else None)
        drop = self.dropout if self.training else 0.0
        if isinstance(attn_mask, Packing):
            return self.out_proj(attn_mask.attend(queries, keys, values, causal, drop))
        return self.out_proj(attend(queries, keys, values, None if causal else attn_mask, causal, drop))


class DecoderLayer(GradientCheckpointingLayer):
    """Self-attention, cross-attention, feed-forward; each normalised before and added to its input.

    With rotary positions the queries of the cross-attention are rotated too, although its keys are not: the original
    does so and checkpoints are trained that way.
    """

    def __init__(self, config: ParlerTTSDecoderConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.self_attn = Attention(config, config.num_key_value_heads or config.num_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(d)
        self.encoder_attn = Attention(config, config.num_cross_attention_key_value_heads or config.num_attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(d)
        self.fc1 = Linear(d, config.ffn_dim)
        self.fc2 = Linear(config.ffn_dim, d)
        self.final_layer_norm = nn.LayerNorm(d)
        self.act = ACT2FN[config.activation_function]
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout

    def forward(self, x: Tensor, states: Tensor, rope: Rope | None, attn_mask: AttentionMask) -> Tensor:
        """x (B, n, d) after this layer; states (B, S, d) are seen where a mask (B, 1, 1, S) is True, or as packed."""
        inner = self.self_attn_layer_norm(x)
        x = x + self._drop(self.self_attn(inner, inner, rope, attn_mask, causal=True))
        x = x + self._drop(self.encoder_attn(self.encoder_attn_layer_norm(x), states, rope, attn_mask))
        inner = self.act(self.fc1(self.final_layer_norm(x)))
        inner = dropout(inner, self.activation_dropout, self.training)
        return x + self._drop(self.fc2(inner))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class Decoder(nn.Module):
    """Embeds columns of codes, adds positions, runs the layers."""

    def __init__(self, config: ParlerTTSDecoderConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.config = config
        self.embed_tokens = nn.ModuleList(nn.Embedding(config.vocab_size + 1, d) for _ in range(config.num_codebooks))
        if not config.rope_embeddings:
            self.embed_positions = SinusoidalPositions(config.max_position_embeddings, d)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(d)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, n, d): the sum of the K embeddings of every column of ids (B, n, K)."""
        return torch.stack([table(ids[..., k]) for k, table in enumerate(self.embed_tokens)]).sum(0)

    def place(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Rope | None]:
        """x (B, n, d) at positions (n,) or (B, n): with the table's rows added, or to be rotated by the rope."""
        config = self.config
        if config.rope_embeddings:
            return x, rope_at(positions, config.head_size, config.rope_theta, x.dtype)
        return x + self.embed_positions(positions), None

    def forward(
        self,
        x: Tensor,
        states: Tensor,
        state_mask: Tensor | None = None,
        padding: Tensor | None = None,
        count_padding: bool = True,
    ) -> Tensor:
        """States (B, n, d) after the last norm; meaningless at padded positions.

        Args:
            x: embedded prompt and columns (B, n, d).
            states: description states (B, S, d); `state_mask` (B, S) is 1 where they are real.
            padding: number of padded positions at the start of each sample (B,), None when there are none.
            count_padding: whether they count as positions, as in the original.
        """
        places = torch.arange(x.shape[1], device=x.device)
        if padding is None:
            return self._layers(x, places, states, description_mask(state_mask))
        # Padding moves behind the samples, where a causal pass never sees it: no mask, and the fast kernels apply.
        order = (places + padding[:, None]) % x.shape[1]
        x = x.gather(1, order[..., None].expand_as(x))
        x = self._layers(x, order if count_padding else places, states, description_mask(state_mask))
        return x.gather(1, order.argsort(1)[..., None].expand_as(x))

    def packed(self, x: Tensor, states: Tensor, packing: Packing) -> Tensor:
        """States (1, N, d) of embedded places (1, N, d) that read description states (1, M, d)."""
        return self._layers(x, packing.positions, states, packing)

    def _layers(self, x: Tensor, positions: Tensor, states: Tensor, attn_mask: AttentionMask) -> Tensor:
        config = self.config
        x, rope = self.place(x, positions)
        x = dropout(x, config.dropout, self.training)
        for layer in self.layers:
            if self.training and config.layerdrop and torch.rand(()) < config.layerdrop:
                continue
            x = layer(x, states, rope, attn_mask)
        return self.layer_norm(x)


def description_mask(state_mask: Tensor | None) -> Tensor | None:
    """(B, S) to (B, 1, 1, S) bool, None where all are seen. A sample without any state sees all, which are zeros."""
    if state_mask is None or bool(state_mask.all()):
        return None
    seen = state_mask.bool()
    return (seen | ~seen.any(1, keepdim=True))[:, None, None]


class DecoderModel(nn.Module):
    """A level of the published key names."""

    def __init__(self, config: ParlerTTSDecoderConfig) -> None:
        super().__init__()
        self.decoder = Decoder(config)


class CodesDecoder(nn.Module):
    """The decoder with its K output heads, separate or fused as the checkpoint has them."""

    def __init__(self, config: ParlerTTSDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = DecoderModel(config)
        d, V, K = config.hidden_size, config.vocab_size, config.num_codebooks
        if config.use_fused_lm_heads:
            self.lm_heads: nn.Linear | nn.ModuleList = Linear(d, K * V)
        else:
            self.lm_heads = nn.ModuleList(Linear(d, V) for _ in range(K))

    def head_weights(self) -> Tensor:
        """All heads as one matrix (K * V, d), row = codebook * V + id."""
        if isinstance(self.lm_heads, nn.ModuleList):
            return torch.cat([cast(nn.Linear, head).weight for head in self.lm_heads])
        return self.lm_heads.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., K, V) of hidden (..., d), in one matrix product."""
        return linear(hidden, self.head_weights()).unflatten(-1, (self.config.num_codebooks, self.config.vocab_size))

    def logits_of_column(self, hidden: Tensor) -> Tensor:
        """The same for a few columns hidden (B, d), without a copy of the heads."""
        if isinstance(self.lm_heads, nn.ModuleList):
            return torch.stack([head(hidden) for head in self.lm_heads], dim=-2)
        return self.lm_heads(hidden).unflatten(-1, (self.config.num_codebooks, self.config.vocab_size))
