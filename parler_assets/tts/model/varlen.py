"""Clips of a batch one after the other in one row, without the padding between them.

Everything but attention treats positions alone, so it computes what is there and no more. Attention looks at every clip
by itself: one call a clip, or on a GPU one kernel that is told where clips begin.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from parler_assets.tts.generation.inputs import Reading
from parler_assets.tts.model.attention import attend
from parler_assets.tts.model.loss import IGNORED

logger = logging.getLogger(__name__)

_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Spans:
    """Where the N real places of padded rows (B, n) lie, and how many every row has.

    Attributes:
        taken: (N,) places in the rows laid end to end, row by row.
        lengths: real places of every row.
    """

    taken: Tensor
    lengths: list[int]

    @classmethod
    def of(cls, real: Tensor) -> Spans:
        """From a mask (B, n) that is true where a place is real."""
        return cls(real.flatten().nonzero().squeeze(1), real.sum(1).tolist())

    def pack(self, rows: Tensor) -> Tensor:
        """(1, N, ...) of padded rows (B, n, ...)."""
        return rows.flatten(0, 1).index_select(0, self.taken)[None]

    @property
    def longest(self) -> int:
        return max(self.lengths)

    @cached_property
    def starts(self) -> Tensor:
        """(B + 1,) int32: the sums of the lengths before every row and after the last."""
        counts = torch.tensor([0, *self.lengths], dtype=torch.int32)
        return counts.cumsum(0, dtype=torch.int32).to(self.taken.device, non_blocking=True)


def columns_of(labels: Tensor) -> Tensor:
    """Which columns of labels (B, L, K) a clip has, (B, L): all up to its last label, learnt or not."""
    return (labels != IGNORED).any(-1).flip(1).cumsum(1).flip(1) > 0


@dataclass(frozen=True)
class Packing:
    """A packed batch: its positions, and the description states that they read.

    Attributes:
        clips: real places of prompts and columns; `positions` (N,) of these.
        states: real states of descriptions.
    """

    clips: Spans
    states: Spans
    positions: Tensor

    @classmethod
    def of(cls, reading: Reading, columns: Tensor) -> Packing:
        """Of what is read and of the columns after it, which are real where a mask (B, L) is true."""
        B, L = columns.shape
        places = torch.arange(reading.columns + L, device=columns.device).expand(B, -1)
        real, positions = pad(columns, (reading.columns, 0), value=True), places
        if reading.padding is not None:
            real = real & (places >= reading.padding[:, None])
            positions = places if reading.count_padding else places - reading.padding[:, None]
        clips = Spans.of(real)
        described = reading.state_mask
        described = columns.new_ones(reading.states.shape[:2]) if described is None else described.bool()
        states = Spans.of(described | ~described.any(1, keepdim=True))  # who has no description reads its zeros
        return cls(clips, states, clips.pack(positions)[0])

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, causal: bool, drop: float) -> Tensor:
        """Every clip's queries (1, H, N, size) to its own keys and values, as (1, N, H * size).

        `causal`: to its own positions up to each; otherwise to its description's states.
        """
        others = self.clips if causal else self.states
        if queries.is_cuda and torch.is_autocast_enabled("cuda"):
            half = torch.get_autocast_dtype("cuda")
            queries, keys, values = queries.to(half), keys.to(half), values.to(half)
        if queries.is_cuda and queries.dtype in _HALF and not drop:
            return by_kernel(queries, keys, values, self.clips, others, causal)
        return one_by_one(queries, keys, values, self.clips, others, causal, drop)


def one_by_one(
    queries: Tensor, keys: Tensor, values: Tensor, clips: Spans, others: Spans, causal: bool, drop: float = 0.0
) -> Tensor:
    """Attention of packed heads (1, H, N, size), a call a clip."""
    parts = (queries.split(clips.lengths, 2), keys.split(others.lengths, 2), values.split(others.lengths, 2))
    return torch.cat([attend(q, k, v, None, causal, drop) for q, k, v in zip(*parts, strict=True)], dim=1)


def by_kernel(queries: Tensor, keys: Tensor, values: Tensor, clips: Spans, others: Spans, causal: bool) -> Tensor:
    """Attention of packed heads (1, H, N, size) by a GPU's kernel for clips of any lengths, in half precision."""
    from torch.nn.attention import varlen

    q, k, v = (part[0].transpose(0, 1) for part in (queries, keys, values))
    window, shared = (-1, 0 if causal else -1), queries.shape[1] != keys.shape[1]
    lengths = (clips.starts, others.starts, clips.longest, others.longest)
    found = varlen.varlen_attn(q, k, v, *lengths, window_size=window, enable_gqa=shared)
    return cast(Tensor, found).flatten(1)[None]


def packs(device: torch.device, precision: torch.dtype, size: int, drop: float) -> bool:
    """Whether packed batches suit a device: any CPU; a GPU whose kernel takes heads of this size and is found right.

    Without that kernel a GPU would be given a small call a clip, and padded batches are faster.
    """
    if device.type == "cpu":
        return True
    return device.type == "cuda" and precision in _HALF and not drop and _kernel_is_right(device, precision, size)


def _kernel_is_right(device: torch.device, precision: torch.dtype, size: int) -> bool:
    """Whether values and gradients of a small packed batch are those of attention one by one."""
    lengths = [5, 64, 130]
    spans = Spans(torch.arange(sum(lengths), device=device), lengths)
    generator = torch.Generator(device).manual_seed(0)
    heads = torch.randn(3, 1, 2, sum(lengths), size, generator=generator, device=device).to(precision)
    results = []
    try:
        for how in (by_kernel, one_by_one):
            given = heads.clone().requires_grad_()
            found = how(given[0], given[1], given[2], spans, spans, True)
            found.square().sum().backward()
            results.append((found.detach(), given.grad))
        torch.testing.assert_close(results[0], results[1], rtol=0.05, atol=0.05)
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
        logger.warning("attention over packed clips does not work here, batches are padded: %s", error)
        return False
    return True
