"""AdamW and the learning rate of every update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from parler_assets.recipe import Training


def adamw(parameters: Iterable[nn.Parameter], settings: Training) -> torch.optim.AdamW:
    """One group as in the reference: norms and embeddings decay too."""
    return torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rates(optimizer: torch.optim.Optimizer, settings: Training, updates: int) -> Callable[[int], float]:
    """The learning rate of update `i`, counted from 0: transformers' schedules follow from the number alone."""
    warmup = math.ceil(settings.warmup_ratio * updates) or settings.warmup_steps
    schedule = get_scheduler(settings.scheduler, optimizer, num_warmup_steps=warmup, num_training_steps=updates)
    (factor,) = cast(LambdaLR, schedule).lr_lambdas
    return lambda update: settings.learning_rate * factor(update)
