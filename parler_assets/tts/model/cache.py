"""What generation remembers: keys and values of every layer, over the sequence so far and over the description."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 256  # columns of a cache's first allocation; it doubles when full


class LayerCache:
    """Keys and values of one layer, (B, H, n, size) each.

    `keys` and `values` grow by columns in buffers that are allocated ahead; `cross` is computed once.
    """

    def __init__(self) -> None:
        self.length = 0
        self.cross: tuple[Tensor, Tensor] | None = None
        self._buffer: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Remember new columns and return all of them."""
        start, self.length = self.length, self.length + keys.shape[2]
        if self._buffer is None or self.length > self._buffer.shape[3]:
            self._grow(keys)
        assert self._buffer is not None
        self._buffer[0, :, :, start : self.length] = keys
        self._buffer[1, :, :, start : self.length] = values
        return self._buffer[0, :, :, : self.length], self._buffer[1, :, :, : self.length]

    def _grow(self, like: Tensor) -> None:
        B, H, _, size = like.shape
        old, room = self._buffer, _BLOCK
        while room < self.length:
            room *= 2
        self._buffer = like.new_empty((2, B, H, room, size))
        if old is not None:
            self._buffer[:, :, :, : old.shape[3]] = old

    def keep(self, rows: Tensor) -> None:
        """Forget the samples of the batch that are not in `rows`."""
        if self._buffer is not None:
            self._buffer = self._buffer[:, rows]
        if self.cross is not None:
            self.cross = (self.cross[0][rows], self.cross[1][rows])


class Cache:
    """The caches of all layers, and which columns of the sequence are padding."""

    def __init__(self, layers: int) -> None:
        self.layers = [LayerCache() for _ in range(layers)]
        self.cross_mask: Tensor | None = None  # (B, 1, 1, S), True where a key may be seen
        self.padded: Tensor | None = None  # (B, 1, 1, n of the prompt), True where a key may be seen; None: everywhere

    @property
    def length(self) -> int:
        return self.layers[0].length

    def mask(self) -> Tensor | None:
        """Which keys one new column may see, itself included: (B, 1, 1, length + 1), None when all."""
        if self.padded is None:
            return None
        new = self.length + 1 - self.padded.shape[-1]
        return torch.nn.functional.pad(self.padded, (0, new), value=True)

    def keep(self, rows: Tensor) -> None:
        for layer in self.layers:
            layer.keep(rows)
        if self.cross_mask is not None:
            self.cross_mask = self.cross_mask[rows]
        if self.padded is not None:
            self.padded = self.padded[rows]
