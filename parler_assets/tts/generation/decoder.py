"""The decoder column by column: the layers of `model/decoder.py` over a KV cache."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from parler_assets.tts.generation.kv_cache import KVCache
from parler_assets.tts.model.attention import attend
from parler_assets.tts.model.decoder import CodesDecoder, DecoderLayer, description_mask
from parler_assets.tts.model.inputs import DecoderInputs
from parler_assets.tts.model.positions import Rope


class CachedDecoder:
    """A `CodesDecoder` that computes every column once. It has no weights of its own, so it follows the model's."""

    def __init__(self, decoder: CodesDecoder) -> None:
        self.decoder, self.config, self.body = decoder, decoder.config, decoder.model.decoder
        self.layers = [cast(DecoderLayer, layer) for layer in self.body.layers]
        self.choices = decoder.config.codebook_size + 1  # codes and the end: what other ids score is never asked

    def start(self, inputs: DecoderInputs) -> KVCache:
        """A cache that knows the descriptions and has no columns yet."""
        cache = KVCache(len(self.layers), int(self.config.num_key_value_heads or 0), self.config.head_size, inputs)
        described = [layer.encoder_attn.keys_values(inputs.states) for layer in self.layers]
        cache.describe([(k.contiguous(), v.contiguous()) for k, v in described], description_mask(inputs.state_mask))
        return cache

    def embed(self, ids: Tensor) -> Tensor:
        """(B, n, d): the sum of the K embeddings of every column of ids (B, n, K)."""
        return self.body.embed(ids)

    def __call__(self, x: Tensor, cache: KVCache) -> Tensor:
        """Hidden states (B, n, d) of the next n columns x (B, n, d), for which the cache has room."""
        places, bias = cache.reveal(x.shape[1])
        x, rope = self.body.place(x, cache.positions(places))
        for number, layer in enumerate(self.layers):
            x = _through(layer, x, number, places, bias, rope, cache)
        cache.at += len(places)
        return self.body.layer_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """(B, K, codes + 1) in float32 of hidden (B, d); the last one is the end."""
        return self.decoder.logits_of_column(hidden)[..., : self.choices].float()


def _through(
    layer: DecoderLayer, x: Tensor, number: int, places: Tensor, bias: Tensor | None, rope: Rope | None, cache: KVCache
) -> Tensor:
    """x (B, n, d) after a layer, as its `forward` computes it; keys and values go to `places` (n,) of the cache."""
    own, cross = layer.self_attn, layer.encoder_attn
    inner = layer.self_attn_layer_norm(x)
    keys, values = cache.write(number, places, *own.keys_values(inner, rope))
    x = x + own.out_proj(attend(own.queries(inner, rope), keys, values, bias))
    queries = cross.queries(layer.encoder_attn_layer_norm(x), rope)
    x = x + cross.out_proj(attend(queries, *cache.cross[number], cache.cross_bias))
    return x + layer.fc2(layer.act(layer.fc1(layer.final_layer_norm(x))))
