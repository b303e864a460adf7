"""What the reference implementation would report of the same training, beside the true numbers.

Its training loss is the last micro-batch's sum over a count of all label positions, padding included, times the number
of micro-batches; it depends on how full the batch is. Its evaluation is the mean of batch means over eight clips that
are trained on (the first eight of a shuffled training set).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from parler_assets.recipe import Training
from parler_assets.tts.training.batches import Batch, Updates

CLIPS = 8


class Reference:
    def __init__(self, updates: Updates, settings: Training) -> None:
        self.reader = updates.reader
        rows = np.random.default_rng(settings.seed).permutation(len(self.reader.split))[:CLIPS].tolist()
        size = settings.batch_size
        self.batches = [tuple(rows[start : start + size]) for start in range(0, len(rows), size)]
        self.loss = float("nan")

    def update(self, batches: Sequence[Batch], last: torch.Tensor) -> None:
        """Note an update's loss; `last` (K,) are the summed losses of its last micro-batch."""
        counted = sum(batch["labels"].shape[0] * batch["labels"].shape[1] for batch in batches)
        self.loss = float(last.mean()) * len(batches) / counted

    def report(self) -> dict[str, float]:
        return {"reference_loss": self.loss}

    def evaluate(self, losses: Callable[..., torch.Tensor], model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        means = []
        for rows in self.batches:
            batch = {key: value.to(device) for key, value in self.reader(rows).items()}
            means.append(float(losses(model, batch, reduction="mean", count_padding=True).mean()))
        return {"reference_eval_loss": float(np.mean(means))}
