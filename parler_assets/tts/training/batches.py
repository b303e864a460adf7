"""What one process of a training reads: updates and held-out batches as tensors on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from parler_assets.tts.data import Split
from parler_assets.tts.data.collate import Collator
from parler_assets.tts.training.plan import Lengths, Plan
from parler_assets.tts.training.speed import training_flops
from parler_assets.tts.training.text_states import TextStates

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Reader:
    """Rows of a split to a micro-batch. With `states`, descriptions are places in their table instead of token ids."""

    split: Split
    collator: Collator
    states: TextStates | None

    def __call__(self, rows: tuple[int, ...]) -> Batch:
        batch = self.collator(self.split, rows)
        if self.states:
            del batch["input_ids"]
            batch["state_rows"] = self.states.rows([self.split.descriptions[row] for row in rows])
        return batch


def lengths_of(split: Split, codebooks: int) -> Lengths:
    return Lengths(split.frames, np.array([len(p) for p in split.prompts], np.int64), codebooks)


class Updates(Dataset):
    """Item i: this process's part of update i, and the counts of the whole update."""

    def __init__(self, plan: Plan, reader: Reader, decoder, rank: int) -> None:
        self.plan, self.reader, self.rank = plan, reader, rank
        split = reader.split
        descriptions = np.array([len(d) for d in split.descriptions])
        self.flops = training_flops(decoder, plan.lengths.frames, plan.lengths.prompts, descriptions)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Micro-batches, and targets, frames and FLOP over all processes.

        A process that has no clip in a small last update computes the first clip and counts it 0 times, because
        gradients are exchanged by all.
        """
        update = self.plan[index]
        batches, rows = update.ranks[self.rank], update.rows
        return {
            "batches": [self.reader(batch) for batch in batches or [(rows[0],)]],
            "counted": 1 if batches else 0,
            "rows": rows,
            "targets": update.targets,
            "frames": update.targets - len(rows),
            "flops": float(self.flops[rows].sum()),
        }
