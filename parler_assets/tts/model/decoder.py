"""The decoder: a causal transformer over [prompt | columns of codes] that reads the description by cross-attention.

These are the layers as they are trained and saved; `inference.py` runs them for generation.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from parler_assets.tts.model.attention import attend, heads
from parler_assets.tts.model.config import ParlerTTSDecoderConfig
from parler_assets.tts.model.dropout import dropout
from parler_assets.tts.model.positions import Rotation, SinusoidalPositions, rotate, rotation
from parler_assets.tts.model.product import multiply, through
from parler_assets.tts.model.varlen import Packing

# What a cross-attention sees: everything, where a mask is True, or every clip of a packed batch its own description.
Seen = Tensor | Packing | None


class Attention(nn.Module):
    """Multi-head attention; the query heads share `key_value_heads` in consecutive groups. No biases."""

    def __init__(self, config: ParlerTTSDecoderConfig, key_value_heads: int) -> None:
        super().__init__()
        d, size = config.hidden_size, config.head_size
        self.k_proj = nn.Linear(d, key_value_heads * size, bias=False)
        self.v_proj = nn.Linear(d, key_value_heads * size, bias=False)
        self.q_proj = nn.Linear(d, d, bias=False)
        self.out_proj = nn.Linear(d, d, bias=False)
        self.size, self.key_value_heads, self.dropout = size, key_value_heads, config.attention_dropout

    def forward(
        self, x: Tensor, states: Tensor, turn: Rotation | None, seen: Seen = None, causal: bool = False
    ) -> Tensor:
        """Attend from x (B, n, d) to states (B, m, d), where a mask `seen` (B, 1, 1, m) is True, or as packed.

        `turn` rotates the queries, and the keys too if `causal`: where x attends to itself.
        """
        queries = heads(through(self.q_proj, x), self.size)
        keys, values = (heads(through(layer, states), self.size) for layer in (self.k_proj, self.v_proj))
        if turn is not None:
            queries, keys = rotate(queries, turn), rotate(keys, turn) if causal else keys
        drop = self.dropout if self.training else 0.0
        if isinstance(seen, Packing):
            return through(self.out_proj, seen.attend(queries, keys, values, causal, drop))
        return through(self.out_proj, attend(queries, keys, values, None if causal else seen, causal, drop))


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
        self.fc1 = nn.Linear(d, config.ffn_dim, bias=False)
        self.fc2 = nn.Linear(config.ffn_dim, d, bias=False)
        self.final_layer_norm = nn.LayerNorm(d)
        self.act = ACT2FN[config.activation_function]
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout

    def forward(self, x: Tensor, states: Tensor, turn: Rotation | None, seen: Seen) -> Tensor:
        """x (B, n, d) after this layer; states (B, S, d) are seen where a mask (B, 1, 1, S) is True, or as packed."""
        inner = self.self_attn_layer_norm(x)
        x = x + self._drop(self.self_attn(inner, inner, turn, seen, causal=True))
        x = x + self._drop(self.encoder_attn(self.encoder_attn_layer_norm(x), states, turn, seen))
        inner = self.act(through(self.fc1, self.final_layer_norm(x)))
        inner = dropout(inner, self.activation_dropout, self.training)
        return x + self._drop(through(self.fc2, inner))

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
            return self._layers(x, places, states, seen_states(state_mask))
        # Padding moves behind the samples, where a causal pass never sees it: no mask, and the fast kernels apply.
        order = (places + padding[:, None]) % x.shape[1]
        x = x.gather(1, order[..., None].expand_as(x))
        x = self._layers(x, order if count_padding else places, states, seen_states(state_mask))
        return x.gather(1, order.argsort(1)[..., None].expand_as(x))

    def packed(self, x: Tensor, states: Tensor, packing: Packing) -> Tensor:
        """States (1, N, d) of embedded places (1, N, d) that read description states (1, M, d)."""
        return self._layers(x, packing.positions, states, packing)

    def _layers(self, x: Tensor, positions: Tensor, states: Tensor, seen: Seen) -> Tensor:
        config, turn = self.config, None
        if config.rope_embeddings:
            turn = rotation(positions, config.head_size, config.rope_theta, x.dtype)
        else:
            x = x + self.embed_positions(positions)
        x = dropout(x, config.dropout, self.training)
        for layer in self.layers:
            if self.training and config.layerdrop and torch.rand(()) < config.layerdrop:
                continue
            x = layer(x, states, turn, seen)
        return self.layer_norm(x)


def seen_states(mask: Tensor | None) -> Tensor | None:
    """(B, S) to (B, 1, 1, S) bool, None where all are seen. A sample without any state sees all, which are zeros."""
    if mask is None or bool(mask.all()):
        return None
    seen = mask.bool()
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
            self.lm_heads: nn.Linear | nn.ModuleList = nn.Linear(d, K * V, bias=False)
        else:
            self.lm_heads = nn.ModuleList(nn.Linear(d, V, bias=False) for _ in range(K))

    def head_weights(self) -> Tensor:
        """All heads as one matrix (K * V, d), row = codebook * V + id."""
        if isinstance(self.lm_heads, nn.ModuleList):
            return torch.cat([cast(nn.Linear, head).weight for head in self.lm_heads])
        return self.lm_heads.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., K, V) of hidden (..., d), in one matrix product."""
        flat = multiply(hidden, self.head_weights())
        return flat.unflatten(-1, (self.config.num_codebooks, self.config.vocab_size))
