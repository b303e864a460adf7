"""The KV cache: keys and values of every layer, over the sequence so far and over the description."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from parler_assets.tts.model.inputs import DecoderInputs

_BLOCK = 512  # columns by which buffers grow; where a step is captured as a graph, it is again whenever they move


class KVCache:
    """Buffers that stay in place until they are full, so that a step can be captured once and replayed.

    On a CPU attention is given the columns that are written. On other devices it is given the whole buffers, whose
    shape stays, and a mask of what may be seen of them.

    Attributes:
        keys, values: one pair a layer, (B, G, room, size).
        cross: keys and values (B, G, S, size) of the description, one pair a layer.
        attn_bias: (B, 1, 1, room), added to scores: 0 where a column may be seen, else very low.
        cross_bias: (B, 1, 1, S) for the description, None where all of it may be seen.
        at: (1,) the column that is written next.
        length: how many columns there is room reserved for.
    """

    def __init__(self, layers: int, heads: int, size: int, inputs: DecoderInputs) -> None:
        like, padding = inputs.states, inputs.padding
        self.keys = [like.new_empty(len(like), heads, 0, size) for _ in range(layers)]
        self.values = [like.new_empty(len(like), heads, 0, size) for _ in range(layers)]
        self.attn_bias = like.new_zeros(len(like), 1, 1, 0)
        self.cross: list[tuple[Tensor, Tensor]] = []
        self.cross_bias: Tensor | None = None
        self.padding = None if padding is None else padding[:, None]
        self.skips_padding = not inputs.count_padding
        self.at = torch.zeros(1, dtype=torch.long, device=like.device)
        self.length = 0
        self.grows = like.device.type == "cpu"
        self._low = torch.finfo(like.dtype).min

    def describe(self, cross: list[tuple[Tensor, Tensor]], seen: Tensor | None) -> None:
        """Remember the description's keys and values, and which may be seen: (B, 1, 1, S), None: all."""
        self.cross, self.cross_bias = cross, None
        if seen is not None:
            self.cross_bias = torch.zeros_like(seen, dtype=cross[0][0].dtype).masked_fill(~seen, self._low)

    def reserve(self, columns: int) -> bool:
        """Make room for the next columns; True when the buffers moved."""
        self.length += columns
        room = self.attn_bias.shape[-1]
        if self.length <= room:
            return False
        more = -(-self.length // _BLOCK) * _BLOCK - room
        self.keys = [pad(keys, (0, 0, 0, more)) for keys in self.keys]
        self.values = [pad(values, (0, 0, 0, more)) for values in self.values]
        self.attn_bias = pad(self.attn_bias, (0, more), value=self._low)
        return True

    def reveal(self, columns: int) -> tuple[Tensor, Tensor | None]:
        """Let the next columns be seen: their places (n,), and the bias (B, 1, n or 1, room) of what they see."""
        if columns == 1:
            self.attn_bias.index_fill_(3, self.at, 0)
            plain = self.grows and self.padding is None
            return self.at, None if plain else self._written(self.attn_bias, 3)
        places = torch.arange(columns, device=self.at.device) + self.at
        self.attn_bias.index_fill_(3, places, 0)
        every = torch.arange(self.attn_bias.shape[-1], device=places.device)
        if self.padding is not None:
            self.attn_bias.masked_fill_((every < self.padding)[:, None, None], self._low)
        return places, self._written(self.attn_bias.masked_fill(every > places[:, None], self._low), 3)

    def positions(self, places: Tensor) -> Tensor:
        """Positions (n,) or (B, n) of these places."""
        if self.padding is None or not self.skips_padding:
            return places
        return (places - self.padding).clamp(min=0)

    def write(self, layer: int, places: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Remember keys and values (B, G, n, size) of new columns and return those to attend to."""
        every = self.keys[layer].index_copy_(2, places, keys), self.values[layer].index_copy_(2, places, values)
        return self._written(every[0], 2), self._written(every[1], 2)

    def _written(self, buffer: Tensor, dim: int) -> Tensor:
        return buffer.narrow(dim, 0, self.length) if self.grows else buffer

    def keep(self, rows: Tensor) -> None:
        """Forget the samples of the batch that are not in `rows`."""
        self.keys, self.values = [k[rows] for k in self.keys], [v[rows] for v in self.values]
        self.cross = [(keys[rows], values[rows]) for keys, values in self.cross]
        self.attn_bias = self.attn_bias[rows]
        self.padding = None if self.padding is None else self.padding[rows]
        self.cross_bias = None if self.cross_bias is None else self.cross_bias[rows]
