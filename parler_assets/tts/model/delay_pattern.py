"""The delay pattern: how K parallel streams of codes become one sequence of columns.

Codebook k runs k columns behind codebook 0, so that when a column is predicted the coarser codes of the same frame are
already known. With K = 3 and frames a, b, c (S start, E end; column 0 is the start column):

    column       0 1 2 3 4 5 6
    codebook 0   S a b c E E E
    codebook 1   S S a b c E E
    codebook 2   S S S a b c E
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FREE = -1
IGNORED = -100  # a label that nothing is learnt from, as torch's cross-entropy has it


@dataclass(frozen=True)
class DelayPattern:
    """The pattern of one model.

    Attributes:
        codebooks: K, the number of parallel streams.
        start: id of the start column and of what a late codebook waits with ("bos").
        end: id after the last frame; it also pads.
    """

    codebooks: int
    start: int
    end: int

    def labels(self, codes: Tensor) -> Tensor:
        """Training targets (..., K, T + K) of codes (..., K, T): the columns after the start column.

        Read off the codes between K start ids and K end ids by a slanted view, each row one column further left.
        """
        *batch, K, T = codes.shape
        laid = codes.new_full((*batch, K, T + 2 * K), self.end)
        laid[..., :K], laid[..., K : K + T] = self.start, codes
        return laid.as_strided((*batch, K, T + K), (*laid.stride()[:-2], T + 2 * K - 1, 1), K)

    def inputs(self, labels: Tensor) -> Tensor:
        """What the decoder reads (B, L, K) to predict labels (B, L, K): one column later, padding (IGNORED) as end."""
        shifted = torch.full_like(labels, self.start)
        shifted[:, 1:] = labels[:, :-1]
        return shifted.masked_fill(shifted == IGNORED, self.end)

    def counted(self, labels: Tensor) -> Tensor:
        """Labels (B, L, K) with IGNORED wherever nothing is to be learnt.

        Left are the T codes and one end per codebook: not the start ids, not the padding, and no end after an end.
        """
        after_end = self.inputs(labels) == self.end
        return labels.masked_fill((labels == self.start) | after_end, IGNORED)

    def canvas(self, length: int, prefix: Tensor | None = None) -> Tensor:
        """Which ids of the first `length` columns are decided beforehand, (K, length) or (B, K, length).

        An entry is FREE where the model decides. Decided are the start ids, the ends which let every codebook finish in
        time, and the frames of a `prefix` (B, K, T) that is continued. A length under 2K - 1 leaves no room for the
        pattern: then nothing is decided except the start column and the prefix.
        """
        K, device = self.codebooks, None if prefix is None else prefix.device
        columns, rows = torch.arange(length, device=device), torch.arange(K, device=device)[:, None]
        room = length >= 2 * K - 1
        canvas = torch.full((K, length), FREE, device=device)
        if prefix is not None:
            canvas = canvas.repeat(len(prefix), 1, 1)
            places = (columns > rows) & (columns <= rows + prefix.shape[-1])
            for k in range(K):
                canvas[:, k, places[k]] = prefix[:, k, : int(places[k].sum())].long()
        canvas[..., columns <= rows if room else (columns == 0).expand(K, -1)] = self.start
        if room:
            canvas[..., columns >= length - K + 1 + rows] = self.end
        return canvas

    def undo(self, ids: Tensor) -> Tensor:
        """Frames (..., K, n - K) of columns (..., K, n): frame t of codebook k lies in column t + k + 1."""
        K, n = ids.shape[-2:]
        frames = torch.arange(max(n - K, 0), device=ids.device) + torch.arange(1, K + 1, device=ids.device)[:, None]
        return ids.gather(-1, frames.expand(*ids.shape[:-2], K, -1))
