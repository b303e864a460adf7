"""A training that a kill does not undo, and whose resumed run gives the same bits: for encoder and decoder alike."""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from parler_assets.storage.files import replacing

logger = logging.getLogger(__name__)
Loss = Callable[[int], dict[str, Tensor]]  # of an update's number: parts, the one called `loss` is followed


@dataclass(frozen=True)
class Schedule:
    """Updates by Adam in cycles, in each of which the rate rises for 50 updates and falls to almost nothing by a cosine
    (warm restarts: Loshchilov and Hutter, 2017), so that a finished training can be given more. The state is kept every
    `keep` updates."""

    cycles: tuple[int, ...]
    rate: float
    betas: tuple[float, float]
    keep: int = 100

    @property
    def updates(self) -> int:
        return sum(self.cycles)

    def at(self, update: int) -> float:
        """The rate of an update."""
        ends = list(accumulate(self.cycles))
        cycle = bisect_right(ends, update)
        place, length = update - ends[cycle] + self.cycles[cycle], self.cycles[cycle]
        return self.rate * min(1, (place + 1) / 50) * (0.51 + 0.49 * math.cos(math.pi * place / length))


def train(network: nn.Module, loss: Loss, schedule: Schedule, state: Path) -> None:
    """Train `network` in place, from `state` on if there is one. What update n sees must be a function of n alone."""
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    adam = torch.optim.Adam(named.values(), schedule.rate, betas=schedule.betas)
    done = _resumed(named, adam, state) if state.exists() else 0
    started, parts = time.process_time(), dict[str, float]()
    for update in range(done, schedule.updates):
        for group in adam.param_groups:
            group["lr"] = schedule.at(update)
        found = loss(update)
        adam.zero_grad()
        found["loss"].backward()
        nn.utils.clip_grad_norm_(named.values(), 1.0)
        adam.step()
        for name, value in found.items():
            parts[name] = parts.get(name, 0.0) + float(value.detach()) / schedule.keep
        if (update + 1) % schedule.keep == 0 or update + 1 == schedule.updates:
            _keep(named, adam, update + 1, state)
            told = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
            minutes = (time.process_time() - started) / 60
            logger.info("%s %d of %d: %s; %.1f CPU minutes", state.stem, update + 1, schedule.updates, told, minutes)
            parts.clear()


def _keep(named: dict[str, nn.Parameter], adam: torch.optim.Adam, update: int, state: Path) -> None:
    tensors = {"update": torch.tensor(update)}
    for name, parameter in named.items():
        kept = adam.state[parameter]
        tensors |= {name: parameter.data, f"{name}@mean": kept["exp_avg"], f"{name}@square": kept["exp_avg_sq"]}
    with replacing(state) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def _resumed(named: dict[str, nn.Parameter], adam: torch.optim.Adam, state: Path) -> int:
    tensors = load_file(state)
    update = int(tensors["update"])
    for name, parameter in named.items():
        parameter.data.copy_(tensors[name])
        adam.state[parameter] = {
            "step": torch.tensor(float(update)),
            "exp_avg": tensors[f"{name}@mean"],
            "exp_avg_sq": tensors[f"{name}@square"],
        }
    return update
