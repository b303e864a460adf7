"""States of the frozen text encoder, computed once for every distinct description.

The reference runs the encoder in every step, and in training mode: its dropout makes one description mean something
else each time. Here it runs once, without dropout, and is then out of the way of the device's memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from parler_assets.tts.data.collate import padded

_BATCH = 64


class TextStates:
    """All states in one table. Row 0 is zeros: what padding points to.

    Attributes:
        table: (1 + tokens of all distinct descriptions, D).
    """

    def __init__(self, table: torch.Tensor, starts: dict[bytes, int]) -> None:
        self.table, self._starts = table, starts

    @classmethod
    @torch.no_grad()
    def encode(
        cls, encoder: nn.Module, descriptions: Sequence[np.ndarray], pad_id: int, device: str, dtype: torch.dtype
    ) -> TextStates:
        """Run `encoder` over the distinct descriptions, similar lengths together."""
        encoder = encoder.to(device).eval()
        distinct = sorted({d.tobytes(): d for d in descriptions}.values(), key=len)
        pieces: list[torch.Tensor] = []
        starts: dict[bytes, int] = {}
        rows = 1
        for first in range(0, len(distinct), _BATCH):
            batch = distinct[first : first + _BATCH]
            ids, mask = (tensor.to(device) for tensor in padded(batch, pad_id, left=False))
            states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state.to(dtype)
            pieces.append(states[mask.bool()])
            for description in batch:
                starts[description.tobytes()] = rows
                rows += len(description)
        return cls(torch.cat([pieces[0].new_zeros(1, pieces[0].shape[1]), *pieces]), starts)

    def rows(self, descriptions: Sequence[np.ndarray]) -> torch.Tensor:
        """Where the states of a batch lie in the table: (B, longest) int64, 0 for padding."""
        spans = [np.arange(len(d)) + self._starts[d.tobytes()] for d in descriptions]
        return padded(spans, 0, left=False)[0]
