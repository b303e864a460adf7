"""Held-out loss: overall, for each codebook, style and speaker.

Every target counts once, whatever batch it is in; the reference averages the means of batches. A batch holds clips of
one speaker and style, so that sums by speaker and style need no more than the model's own loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from parler_assets.recipe import Training
from parler_assets.tts.data import Split
from parler_assets.tts.training.plan import Lengths, micro_batches


@dataclass(frozen=True)
class Cell:
    """Clips of one speaker in one style. An unnamed speaker is the corpus's own."""

    speaker: str
    style: str | None


class HeldOut:
    """The held-out split, cut into batches once."""

    def __init__(
        self, split: Split, lengths: Lengths, settings: Training, limit: int | None, packed: bool = False
    ) -> None:
        columns = [split.table[name].to_pylist() for name in ("speaker", "corpus", "style")]
        cells = [Cell(speaker or corpus, style) for speaker, corpus, style in zip(*columns, strict=True)]
        self.cells = list(dict.fromkeys(cells))
        places = np.array([self.cells.index(cell) for cell in cells])
        self.batches = [
            (place, batch)
            for place in range(len(self.cells))
            for batch in micro_batches(lengths, np.flatnonzero(places == place), settings, limit, packed)
        ]
        self.targets = np.bincount(places, split.frames + 1, len(self.cells))

    def sums(
        self, loss: Callable[[tuple[int, ...]], torch.Tensor], codebooks: int, rank: int = 0, processes: int = 1
    ) -> torch.Tensor:
        """Summed losses (cells, K) float64 of this process's share; `loss` gives a batch's sums (K,)."""
        total = torch.zeros(len(self.cells), codebooks, dtype=torch.float64)
        for place, batch in self.batches[rank::processes]:
            total[place] += loss(batch).double().cpu()
        return total

    def report(self, sums: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """Metrics of summed losses (cells, K); `weights` (K,) are those of the codebooks and sum to 1."""
        metrics = {"eval_loss": float(sums.sum(0) @ weights / self.targets.sum())}
        for k, value in enumerate(sums.sum(0) / self.targets.sum()):
            metrics[f"eval_codebook/{k}"] = float(value)
        for kind in ("style", "speaker"):
            names = [getattr(cell, kind) for cell in self.cells]
            for name in sorted({name for name in names if name}):
                chosen = np.array([other == name for other in names])
                value = sums[chosen].sum(0) @ weights / self.targets[chosen].sum()
                metrics[f"eval_{kind}/{metric_name(name)}"] = float(value)
        return metrics


def metric_name(name: str) -> str:
    """A name as MLflow accepts it."""
    return re.sub(r"[^\w\-. ]", "_", name)
