"""The decoder as generation runs it: the same layers, their weights arranged for few columns at a time.

`decoder.py` has the layers as they are trained and saved. A step multiplies every weight with a handful of rows, so
its time goes into reading weights and into calls: here queries, keys and values are one product, the K embeddings one
table, the heads one matrix cut to the ids that can be chosen.
"""

from __future__ import annotations

from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, linear

from parler_assets.tts.model.attention import attend, heads
from parler_assets.tts.model.cache import Cache
from parler_assets.tts.model.decoder import CodesDecoder, DecoderLayer, seen_states
from parler_assets.tts.model.positions import Rotation, rotate, rotation
from parler_assets.tts.model.reading import Reading


class Matrix:
    """Weights (out, in), several stacked, that rows are multiplied with.

    On a CPU they are laid out for oneDNN once. For few rows its product is up to two and a half times as fast as
    `linear`, which leaves float32 to MKL (benchmarks/generation.py).
    """

    def __init__(self, *weights: Tensor) -> None:
        weight = weights[0] if len(weights) == 1 else torch.cat(weights)
        self.packed = _packs(weight)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self.packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
        return linear(x, self.weight)

    def onto(self, base: Tensor, x: Tensor) -> Tensor:
        """The base (B, n, out) plus the product with x (B, n, in); the base may be overwritten."""
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise.binary(x, base, self.weight, None, "add")
        base.flatten(0, 1).addmm_(x.flatten(0, 1), self.weight.t())
        return base


def _packs(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    half = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 or half


def _weight(layer: nn.Module) -> Tensor:
    """A linear layer's weight (out, in).

    Raises:
        TypeError: the layer is another, such as one with an adapter, which its weight alone would leave out.
    """
    if type(layer) is not nn.Linear:
        raise TypeError(f"cannot generate through a layer {type(layer).__name__}: merge adapters into the model first")
    return layer.weight.detach()


class InferenceLayer:
    """One `DecoderLayer`: the same order of self-attention, cross-attention and feed-forward."""

    def __init__(self, layer: DecoderLayer) -> None:
        own, cross = layer.self_attn, layer.encoder_attn
        self.size, self.groups = own.size, own.key_value_heads
        self.project = Matrix(_weight(own.q_proj), _weight(own.k_proj), _weight(own.v_proj))
        self.own_out = Matrix(_weight(own.out_proj))
        self.cross_queries = Matrix(_weight(cross.q_proj))
        self.cross_project = Matrix(_weight(cross.k_proj), _weight(cross.v_proj))
        self.cross_out = Matrix(_weight(cross.out_proj))
        self.widen, self.narrow, self.act = Matrix(_weight(layer.fc1)), Matrix(_weight(layer.fc2)), layer.act
        norms = (layer.self_attn_layer_norm, layer.encoder_attn_layer_norm, layer.final_layer_norm)
        self.norms = [_Norm(norm) for norm in norms]

    def described(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the cross-attention for states (B, S, d)."""
        keys, values = heads(self.cross_project(states), self.size).chunk(2, dim=1)
        return keys.contiguous(), values.contiguous()

    def __call__(self, x: Tensor, number: int, places: Tensor, mask: Tensor, turn: Rotation | None, cache: Cache):
        """x (B, n, d) after this layer; its keys and values go to `places` (n,) of the cache's layer `number`."""
        both = heads(self.project(self.norms[0](x)), self.size)
        turning, values = both.tensor_split([-self.groups], dim=1)
        if turn is not None:
            turning = rotate(turning, turn)
        queries, keys = turning.tensor_split([-self.groups], dim=1)
        x = self.own_out.onto(x, attend(queries, *cache.write(number, places, keys, values), mask))
        queries = heads(self.cross_queries(self.norms[1](x)), self.size)
        if turn is not None:
            queries = rotate(queries, turn)
        x = self.cross_out.onto(x, attend(queries, *cache.cross[number], cache.cross_hidden))
        return self.narrow.onto(x, self.act(self.widen(self.norms[2](x))))


class _Norm:
    def __init__(self, norm: nn.LayerNorm) -> None:
        self.given = (norm.normalized_shape, norm.weight.detach(), norm.bias.detach(), norm.eps)

    def __call__(self, x: Tensor) -> Tensor:
        return layer_norm(x, *self.given)


class InferenceDecoder:
    """A `CodesDecoder` for generation. It follows neither training nor loading: `inference_decoder` makes a new one."""

    def __init__(self, source: CodesDecoder) -> None:
        decoder, config = source.model.decoder, source.config
        self.config = config
        self.layers = [InferenceLayer(cast(DecoderLayer, layer)) for layer in decoder.layers]
        self.norm = _Norm(decoder.layer_norm)
        self.table = torch.cat([cast(nn.Embedding, table).weight.detach() for table in decoder.embed_tokens])
        self.first = torch.arange(config.num_codebooks, device=self.table.device) * (config.vocab_size + 1)
        self.positions = None if config.rope_embeddings else decoder.embed_positions.weights.detach()
        self.choices = config.codebook_size + 1  # codes and the end: what other ids score is never asked
        every = source.head_weights().detach().unflatten(0, (config.num_codebooks, -1))
        self.heads = Matrix(every[:, : self.choices].flatten(0, 1).contiguous())

    def start(self, reading: Reading) -> Cache:
        """A cache that knows the descriptions and has no columns yet."""
        groups = int(self.config.num_key_value_heads or 0)
        cache = Cache(len(self.layers), groups, self.config.head_size, reading)
        cache.describe([layer.described(reading.states) for layer in self.layers], seen_states(reading.state_mask))
        return cache

    def embed(self, ids: Tensor) -> Tensor:
        """(B, n, d): the sum of the K embeddings of every column of ids (B, n, K)."""
        return embedding(ids + self.first, self.table).sum(-2)

    def __call__(self, x: Tensor, cache: Cache) -> Tensor:
        """Hidden states (B, n, d) of the next n columns x (B, n, d), for which the cache has room."""
        places, mask = cache.reveal(x.shape[1])
        positions = cache.positions(places)
        turn = None
        if self.positions is not None:
            x = x + embedding(positions, self.positions)
        else:
            turn = rotation(positions, self.config.head_size, self.config.rope_theta, x.dtype)
        for number, layer in enumerate(self.layers):
            x = layer(x, number, places, mask, turn, cache)
        cache.at += len(places)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """(B, K, codes + 1) in float32 of hidden (B, d); the last one is the end."""
        return self.heads(hidden).float().unflatten(-1, (-1, self.choices))


_made: WeakKeyDictionary[CodesDecoder, tuple[tuple, InferenceDecoder]] = WeakKeyDictionary()


def inference_decoder(source: CodesDecoder) -> InferenceDecoder:
    """The decoder for generation, made when first asked for and again after weights have changed."""
    state = tuple((p.data_ptr(), p._version, p.device, p.dtype) for p in source.parameters())
    known = _made.get(source)
    if known is None or known[0] != state:
        known = _made[source] = (state, InferenceDecoder(source))
    return known[1]
