"""The decoder: a causal transformer over [prompt | columns of codes] that reads the description by cross-attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from parler_assets.tts.model.cache import Cache, LayerCache
from parler_assets.tts.model.config import ParlerTTSDecoderConfig
from parler_assets.tts.model.positions import Rotation, SinusoidalPositions, rotate, rotation


class Attention(nn.Module):
    """Multi-head attention; H query heads share `key_value_heads` in consecutive groups. No biases."""

    def __init__(self, config: ParlerTTSDecoderConfig, key_value_heads: int) -> None:
        super().__init__()
        d, self.size = config.hidden_size, config.hidden_size // config.num_attention_heads
        self.k_proj = nn.Linear(d, key_value_heads * self.size, bias=False)
        self.v_proj = nn.Linear(d, key_value_heads * self.size, bias=False)
        self.q_proj = nn.Linear(d, d, bias=False)
        self.out_proj = nn.Linear(d, d, bias=False)
        self.dropout, self.grouped = config.attention_dropout, key_value_heads != config.num_attention_heads

    def heads(self, x: Tensor) -> Tensor:
        """(B, n, H * size) to (B, H, n, size)."""
        return x.unflatten(-1, (-1, self.size)).transpose(1, 2)

    def keys_and_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        return self.heads(self.k_proj(states)), self.heads(self.v_proj(states))

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, turn: Rotation | None, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """Attend from x (B, n, d); `turn` rotates the queries, `mask` (B, 1, 1, keys) is True where a key is seen."""
        queries = self.heads(self.q_proj(x))
        if turn is not None:
            queries = rotate(queries, turn)
        drop = self.dropout if self.training else 0.0
        seen = scaled_dot_product_attention(
            queries, keys, values, mask, dropout_p=drop, is_causal=causal, enable_gqa=self.grouped
        )
        return self.out_proj(seen.transpose(1, 2).flatten(2))


@dataclass(frozen=True)
class Sight:
    """What every layer of one pass shares: rotations, and which keys may be seen (None: all, or all before)."""

    turn: Rotation | None
    mask: Tensor | None
    cross_mask: Tensor | None
    causal: bool


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

    def forward(self, x: Tensor, states: Tensor | None, sight: Sight, cache: LayerCache | None = None) -> Tensor:
        """x (B, n, d) after this layer; `states` (B, S, d) may be None when the cache has their keys and values."""
        x = x + self._drop(self._self_attention(self.self_attn_layer_norm(x), sight, cache))
        x = x + self._drop(self._cross_attention(self.encoder_attn_layer_norm(x), states, sight, cache))
        inner = dropout(self.act(self.fc1(self.final_layer_norm(x))), self.activation_dropout, self.training)
        return x + self._drop(self.fc2(inner))

    def _self_attention(self, x: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        keys, values = self.self_attn.keys_and_values(x)
        if sight.turn is not None:
            keys = rotate(keys, sight.turn)
        if cache is not None:
            keys, values = cache.append(keys, values)
        return self.self_attn(x, keys, values, sight.turn, sight.mask, sight.causal)

    def _cross_attention(self, x: Tensor, states: Tensor | None, sight: Sight, cache: LayerCache | None) -> Tensor:
        known = cache.cross if cache is not None else None
        if known is None:
            assert states is not None
            known = self.encoder_attn.keys_and_values(states)
        if cache is not None:
            cache.cross = known
        return self.encoder_attn(x, *known, sight.turn, sight.cross_mask)

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
        states: Tensor | None,
        state_mask: Tensor | None = None,
        padding: Tensor | None = None,
        cache: Cache | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """A whole sequence from its start.

        Args:
            x: embedded prompt and columns (B, n, d).
            states: description states (B, S, d); `state_mask` (B, S) is 1 where they are real.
            padding: number of padded positions at the start of each sample (B,), None when there are none.
            cache: filled for `step`.
            positions: (n,) or (B, n); counted from the start of the sequence, padding included, when None.

        Returns:
            States (B, n, d) after the last norm; meaningless at padded positions.
        """
        n = x.shape[1]
        order = None if padding is None else (torch.arange(n, device=x.device) + padding[:, None]) % n
        positions = torch.arange(n, device=x.device) if positions is None else positions
        x = dropout(self._positioned(x, positions), self.config.dropout, self.training)
        if order is not None:
            # Padding moves behind the samples, where a causal pass never sees it: no mask, and the fast kernels apply.
            x = x.gather(1, order[..., None].expand_as(x))
            positions = order if positions.dim() == 1 else positions.gather(1, order)
        sight = Sight(self._turn(positions, x), None, _cross_mask(state_mask), causal=True)
        if cache is not None:
            cache.cross_mask = sight.cross_mask
            cache.padded = (
                None if padding is None else (torch.arange(n, device=x.device) < n - padding[:, None])[:, None, None]
            )
        x = self._layers(x, states, sight, cache)
        return x if order is None else x.gather(1, order.argsort(1)[..., None].expand_as(x))

    def step(self, x: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """The next column x (B, 1, d) at positions (1,) or (B, 1)."""
        sight = Sight(self._turn(positions, x), cache.mask(), cache.cross_mask, causal=False)
        return self._layers(self._positioned(x, positions), None, sight, cache)

    def _layers(self, x: Tensor, states: Tensor | None, sight: Sight, cache: Cache | None) -> Tensor:
        for number, layer in enumerate(self.layers):
            if self.training and self.config.layerdrop and torch.rand(()) < self.config.layerdrop:
                continue
            x = layer(x, states, sight, cache.layers[number] if cache else None)
        return self.layer_norm(x)

    def _positioned(self, x: Tensor, positions: Tensor) -> Tensor:
        return x if self.config.rope_embeddings else x + self.embed_positions(positions)

    def _turn(self, positions: Tensor, x: Tensor) -> Rotation | None:
        if not self.config.rope_embeddings:
            return None
        size = self.config.hidden_size // self.config.num_attention_heads
        return rotation(positions, size, self.config.rope_theta, x.dtype)


def _cross_mask(mask: Tensor | None) -> Tensor | None:
    """(B, S) to (B, 1, 1, S) bool. A sample without any description sees all its states, which are zeros."""
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

    def logits(self, hidden: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., K, V) of hidden (..., d), in one matrix product."""
        flat = nn.functional.linear(hidden, self.head_weights() if weights is None else weights)
        return flat.unflatten(-1, (self.config.num_codebooks, self.config.vocab_size))
