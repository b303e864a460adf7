"""The decoder as generation runs it: the same layers, their weights arranged for few columns at a time.

`decoder.py` has the layers as they are trained and saved. A step multiplies every weight with a handful of rows, so
its time goes into reading weights and into calls: here queries, keys and values are one product, the K embeddings one
table, the heads one matrix cut to the ids that can be chosen. On a CPU one call of `column.py` takes a column through
all layers.
"""

from __future__ import annotations

from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm

from parler_assets.tts.generation.inputs import Reading
from parler_assets.tts.generation.kv_cache import Cache
from parler_assets.tts.model.attention import attend, heads
from parler_assets.tts.model.column import CompiledLayers, compiled
from parler_assets.tts.model.decoder import CodesDecoder, DecoderLayer, seen_states
from parler_assets.tts.model.matrix import Matrix, weight_of
from parler_assets.tts.model.positions import Rotation, rotate, rotation


class InferenceLayer:
    """One `DecoderLayer`: the same order of self-attention, cross-attention and feed-forward."""

    def __init__(self, layer: DecoderLayer) -> None:
        own, cross = layer.self_attn, layer.encoder_attn
        self.size, self.groups = own.size, own.key_value_heads
        self.project = Matrix(weight_of(own.q_proj), weight_of(own.k_proj), weight_of(own.v_proj))
        self.own_out = Matrix(weight_of(own.out_proj))
        self.cross_queries = Matrix(weight_of(cross.q_proj))
        self.cross_project = Matrix(weight_of(cross.k_proj), weight_of(cross.v_proj))
        self.cross_out = Matrix(weight_of(cross.out_proj))
        self.widen, self.narrow, self.act = Matrix(weight_of(layer.fc1)), Matrix(weight_of(layer.fc2)), layer.act
        norms = (layer.self_attn_layer_norm, layer.encoder_attn_layer_norm, layer.final_layer_norm)
        self.norms = [Norm(norm) for norm in norms]

    @property
    def matrices(self) -> list[Matrix]:
        """What a new column is multiplied with, in this order."""
        return [self.project, self.own_out, self.cross_queries, self.cross_out, self.widen, self.narrow]

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


class Norm:
    """A layer norm's weights."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.weight, self.bias, self.epsilon = norm.weight.detach(), norm.bias.detach(), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class InferenceDecoder:
    """A `CodesDecoder` for generation. It follows neither training nor loading: `inference_decoder` makes a new one."""

    def __init__(self, source: CodesDecoder) -> None:
        decoder, config = source.model.decoder, source.config
        self.config = config
        self.layers = [InferenceLayer(cast(DecoderLayer, layer)) for layer in decoder.layers]
        self.compiled: CompiledLayers | None = compiled(self.layers, config)
        self.norm = Norm(decoder.layer_norm)
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
        if self.compiled and len(places) == 1:
            x = self.compiled(x, turn, cache)
        else:
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
