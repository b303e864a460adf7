"""One new column through all layers in one call of compiled code: `InferenceLayer` on a CPU in float32."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from parler_assets.speech.codec.native import threads
from parler_assets.tts.generation.kv_cache import Cache
from parler_assets.tts.model import native
from parler_assets.tts.model.config import ParlerTTSDecoderConfig
from parler_assets.tts.model.positions import Rotation

if TYPE_CHECKING:
    from parler_assets.tts.generation.decoder import InferenceLayer


def compiled(layers: Sequence[InferenceLayer], config: ParlerTTSDecoderConfig) -> CompiledLayers | None:
    """The layers as compiled code takes them; None where there is none, or it does not know this kind of layer."""
    matrices = [matrix for layer in layers for matrix in layer.matrices]
    fits = all(matrix.panels and matrix.panels.whole for matrix in matrices)
    return CompiledLayers(layers, config) if fits and config.activation_function == "gelu" else None


class CompiledLayers:
    """Where the weights of all layers lie, for columns (B, 1, d)."""

    def __init__(self, layers: Sequence[InferenceLayer], config: ParlerTTSDecoderConfig) -> None:
        functions = native.library()
        assert functions is not None  # `compiled` has seen to it
        self.function, self.layers = functions.column, layers  # which keeps the weights alive
        self.config, self.epsilon = config, layers[0].norms[0].epsilon
        self.smallest = min(matrix.weight.numel() for layer in layers for matrix in layer.matrices)
        self.weights = native.array(native.Layer, [_fields(layer) for layer in layers])

    def __call__(self, x: Tensor, turn: Rotation | None, cache: Cache) -> Tensor:
        """x (B, 1, d) after all layers, perhaps in place; its keys and values go to the cache's next column."""
        x = x.contiguous()
        shape = self._shape(x, turn, cache)
        most = max(shape.room, shape.states)
        wide = (shape.heads + 2 * shape.groups) * shape.size
        work = x.new_empty(shape.rows * (2 * shape.width + wide + shape.inner + shape.heads * most))
        remembered = zip(cache.keys, cache.values, cache.cross, strict=True)
        memories = [
            tuple(native.address(part) for part in (keys, values, *cross)) for keys, values, cross in remembered
        ]
        cosines, sines = (None, None) if turn is None else [part.contiguous() for part in turn]
        masks = (cache.hidden, cache.cross_hidden)
        self.function(
            ctypes.byref(shape), self.weights, native.array(native.Memory, memories), len(memories), x.data_ptr(),
            *[native.address(tensor) for tensor in (*masks, cosines, sines, work)], threads(self.smallest),
        )  # fmt: skip
        return x

    def _shape(self, x: Tensor, turn: Rotation | None, cache: Cache) -> native.Shape:
        first = self.layers[0]
        rows, turned = len(x), 0 if turn is None or len(turn[0]) == 1 else self.config.head_size
        return native.Shape(
            rows, x.shape[-1], self.config.ffn_dim, self.config.num_attention_heads, first.groups,
            cache.cross[0][0].shape[1], self.config.head_size, int(cache.at), cache.hidden.shape[-1],
            cache.cross[0][0].shape[2], turned, self.epsilon,
        )  # fmt: skip


def _fields(layer: InferenceLayer) -> tuple:
    """A `native.Layer`'s, in its order: each norm with the products behind it."""
    project, own_out, cross_queries, cross_out, widen, narrow = (native.address(m.weight) for m in layer.matrices)
    own, cross, last = (
        native.PAIR(*[native.address(part) for part in (norm.weight, norm.bias)]) for norm in layer.norms
    )
    return own, project, own_out, cross, cross_queries, cross_out, last, widen, narrow
