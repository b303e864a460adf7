"""Which clips every update trains on, decided before training starts.

The plan is a pure function of lengths, weights and settings. An update's clips are drawn at random, as a fixed number
of clips says; only inside an update are they sorted by length and cut into micro-batches, so that little is padded and
the gradient is the same whatever the cut. Resuming is going on at an index: no state of a sampler exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from parler_assets.recipe import Training


@dataclass(frozen=True)
class Lengths:
    """Lengths of a split's clips: codec frames and prompt tokens, each (clips,)."""

    frames: np.ndarray
    prompts: np.ndarray
    codebooks: int

    @property
    def positions(self) -> np.ndarray:
        """Decoder positions of every clip, unpadded."""
        return self.frames + self.prompts + self.codebooks


@dataclass(frozen=True)
class Update:
    """The clips of one optimiser step: for every process its micro-batches of rows.

    Attributes:
        targets: codes to predict in one codebook, over all clips and processes: every frame and one end.
    """

    ranks: tuple[tuple[tuple[int, ...], ...], ...]
    targets: int

    @property
    def rows(self) -> list[int]:
        return [row for rank in self.ranks for batch in rank for row in batch]


class Plan:
    """All updates of a training.

    Attributes:
        updates_per_epoch: an epoch counts every clip `weight` times, and its last update may be smaller.
        updates: how many the whole training has.
    """

    def __init__(
        self,
        lengths: Lengths,
        weights: np.ndarray,
        settings: Training,
        limit: int | None = None,
        processes: int = 1,
        packed: bool = False,
    ) -> None:
        self.lengths, self.weights, self.settings = lengths, weights, settings
        self.limit, self.processes, self.packed = limit, processes, packed
        self.clips_per_epoch = max(1, round(float(weights.sum())))
        self.updates_per_epoch = math.ceil(self.clips_per_epoch / settings.effective_batch_size)
        by_epochs = max(1, math.ceil(settings.epochs * self.updates_per_epoch))
        self.updates = settings.max_steps if settings.max_steps > 0 else by_epochs
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.updates

    def __getitem__(self, index: int) -> Update:
        """The clips of update `index`, counted from 0."""
        if not 0 <= index < self.updates:
            raise IndexError(index)
        epoch, place = divmod(index, self.updates_per_epoch)
        size = self.settings.effective_batch_size
        rows = self._order(epoch)[place * size : (place + 1) * size]
        shares = [rows[rank :: self.processes] for rank in range(self.processes)]
        ranks = tuple(micro_batches(self.lengths, share, self.settings, self.limit, self.packed) for share in shares)
        return Update(ranks, int((self.lengths.frames[rows] + 1).sum()))

    def _order(self, epoch: int) -> np.ndarray:
        if self._epoch[0] != epoch:
            self._epoch = (epoch, epoch_rows(self.weights, self.clips_per_epoch, self.settings.seed, epoch))
        return self._epoch[1]


def micro_batches(
    lengths: Lengths, rows: np.ndarray, settings: Training, limit: int | None = None, packed: bool = False
) -> tuple[tuple[int, ...], ...]:
    """Cut rows into batches, each as full as the budget, the number of clips and the table of positions let it be."""
    if settings.group_by_length:
        rows = rows[np.argsort(lengths.positions[rows], kind="stable")[::-1]]
    starts = [0] if len(rows) else []
    for place in range(1, len(rows)):
        if not _allowed(lengths, rows[starts[-1] : place + 1], settings, limit, packed):
            starts.append(place)
    return tuple(tuple(rows[start:stop].tolist()) for start, stop in pairwise([*starts, len(rows)]))


def _allowed(lengths: Lengths, batch: np.ndarray, settings: Training, limit: int | None, packed: bool) -> bool:
    """Whether a batch of several rows may be. A packed one, too, is within the table: the reference's loss pads it."""
    budget = settings.max_positions
    if len(batch) > settings.batch_size or (limit is not None and padded_positions(lengths, batch) > limit):
        return False
    return budget is None or computed_positions(lengths, batch, packed) <= budget


def computed_positions(lengths: Lengths, rows: np.ndarray | list[int], packed: bool) -> int:
    """Decoder positions that a batch costs: those of its clips where it is packed, else its padded size."""
    if packed:
        return int(lengths.positions[rows].sum())
    return padded_positions(lengths, rows) * len(rows)


def padded_positions(lengths: Lengths, rows: np.ndarray | list[int]) -> int:
    """Decoder positions of every clip of a batch once padded: longest prompt + longest labels."""
    return int(lengths.prompts[rows].max() + lengths.frames[rows].max() + lengths.codebooks)


def epoch_rows(weights: np.ndarray, count: int, seed: int, epoch: int) -> np.ndarray:
    """Rows of one epoch in random order: every clip floor(weight) times, and the rest drawn by what is left over."""
    generator = np.random.default_rng([seed, epoch])
    whole = np.floor(weights).astype(np.int64)
    rows = np.repeat(np.arange(len(weights)), whole)
    missing = count - len(rows)
    if missing > 0:
        left_over = (weights - whole).astype(np.float64)
        draw = generator.choice(len(weights), missing, replace=False, p=left_over / left_over.sum())
        rows = np.concatenate([rows, draw])
    return generator.permutation(rows)
