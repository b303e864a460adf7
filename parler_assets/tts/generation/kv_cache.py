"""What generation remembers: keys and values of every layer, over the sequence so far and over the description."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from parler_assets.tts.generation.inputs import Reading

_BLOCK = 64  # columns by which buffers grow
_LONG_BLOCK = 512  # where a step is recorded, which it is again whenever buffers move


class Cache:
    """Buffers that stay in place until they are full, so that a step can be recorded once and replayed.

    Attributes:
        keys, values: one pair a layer, (B, G, room, size); columns that are not written yet are zeros.
        cross: keys and values (B, G, S, size) of the description, one pair a layer.
        hidden: (B, 1, 1, room), added to scores: 0 where a column may be seen, else very low.
        cross_hidden: (B, 1, 1, S) for the description, None where all of it may be seen.
        at: (1,) the column that is written next.
        length: how many columns there is room reserved for.
    """

    def __init__(self, layers: int, heads: int, size: int, reading: Reading) -> None:
        like, padding = reading.states, reading.padding
        B = len(like)
        self.keys = [like.new_zeros(B, heads, 0, size) for _ in range(layers)]
        self.values = [like.new_zeros(B, heads, 0, size) for _ in range(layers)]
        self.hidden = like.new_zeros(B, 1, 1, 0)
        self.padding = None if padding is None else padding[:, None]
        self.skips = not reading.count_padding
        self.at = torch.zeros(1, dtype=torch.long, device=like.device)
        self.length = 0
        self._low = torch.finfo(like.dtype).min

    def describe(self, cross: list[tuple[Tensor, Tensor]], seen: Tensor | None) -> None:
        """Remember the description's keys and values, and which may be seen: (B, 1, 1, S), None: all."""
        self.cross, self.cross_hidden = cross, None
        if seen is not None:
            self.cross_hidden = torch.zeros_like(seen, dtype=cross[0][0].dtype).masked_fill(~seen, self._low)

    def reserve(self, columns: int) -> bool:
        """Make room for the next columns; True when the buffers moved."""
        self.length += columns
        room = self.hidden.shape[-1]
        if self.length <= room:
            return False
        block = _BLOCK if self.hidden.device.type == "cpu" else _LONG_BLOCK
        more = -(-self.length // block) * block - room
        self.keys = [pad(keys, (0, 0, 0, more)) for keys in self.keys]
        self.values = [pad(values, (0, 0, 0, more)) for values in self.values]
        self.hidden = pad(self.hidden, (0, more), value=self._low)
        return True

    def reveal(self, columns: int) -> tuple[Tensor, Tensor]:
        """Let the next columns be seen: their places (n,), and the mask (B, 1, n or 1, room) of what they see."""
        if columns == 1:
            self.hidden.index_fill_(3, self.at, 0)
            return self.at, self.hidden
        places = torch.arange(columns, device=self.at.device) + self.at
        self.hidden.index_fill_(3, places, 0)
        every = torch.arange(self.hidden.shape[-1], device=places.device)
        if self.padding is not None:
            self.hidden.masked_fill_((every < self.padding)[:, None, None], self._low)
        return places, self.hidden.masked_fill(every > places[:, None], self._low)

    def positions(self, places: Tensor) -> Tensor:
        """Positions (n,) or (B, n) of these places."""
        if self.padding is None or not self.skips:
            return places
        return (places - self.padding).clamp(min=0)

    def write(self, layer: int, places: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Remember keys and values (B, G, n, size) of new columns and return all of them."""
        return self.keys[layer].index_copy_(2, places, keys), self.values[layer].index_copy_(2, places, values)

    def keep(self, rows: Tensor) -> None:
        """Forget the samples of the batch that are not in `rows`."""
        self.keys, self.values = [k[rows] for k in self.keys], [v[rows] for v in self.values]
        self.cross = [(keys[rows], values[rows]) for keys, values in self.cross]
        self.hidden = self.hidden[rows]
        self.padding = None if self.padding is None else self.padding[rows]
        self.cross_hidden = None if self.cross_hidden is None else self.cross_hidden[rows]
