"""The columns of ids of the samples that are being generated, and how the next one is decided."""

from __future__ import annotations

import torch
from torch import Tensor

from parler_assets.tts.generation.sampling import EosTracker, Sampling
from parler_assets.tts.model.delay_pattern import FREE, DelayPattern


class DecodingState:
    """Ids (B, K, M) of which the first are given. Everything changes in place, so that a step can be captured.

    Attributes:
        ids: chosen so far, then ends.
        at: (1,) the column that is chosen next.
    """

    def __init__(self, pattern: DelayPattern, sampling: Sampling, canvas: Tensor, start: int, uniforms: Tensor | None):
        """For `canvas` (B, K, M) with `start` columns given, and uniforms (B, K, M) in [0, 1), None to be greedy."""
        B, K, M = canvas.shape
        self.sampling, self.end = sampling, pattern.end
        self.canvas, self.uniforms = canvas, uniforms
        self.ids = torch.full((B, K, M), pattern.end, device=canvas.device)
        self.ids[..., :start] = canvas[..., :start]
        self.at = torch.tensor([start], device=canvas.device)
        self.early = torch.arange(M, device=canvas.device) < start + sampling.min_new
        self.eos = EosTracker(B, K, pattern.end, canvas.device)

    def previous(self) -> Tensor:
        """The last column (B, 1, K)."""
        return self.ids.index_select(2, self.at - 1).transpose(1, 2)

    def choose(self, logits: Tensor) -> None:
        """Decide the next column from logits (B, K, codes + 1), the last one the end's."""
        forbidden = self.eos.forbidden() | self.early.index_select(0, self.at)
        logits[..., self.end].masked_fill_(forbidden, -torch.inf)
        uniform = None if self.uniforms is None else self.uniforms.index_select(2, self.at).squeeze(2)
        ids = self.eos.update(self.sampling.choose(logits, uniform))
        decided = self.canvas.index_select(2, self.at).squeeze(2)
        self.ids.index_copy_(2, self.at, torch.where(decided == FREE, ids, decided).unsqueeze(2))
        self.at += 1

    def keep(self, rows: Tensor) -> None:
        """Forget the samples that are not in `rows`."""
        self.ids, self.canvas = self.ids[rows], self.canvas[rows]
        self.uniforms = None if self.uniforms is None else self.uniforms[rows]
        self.eos.keep(rows)
