"""How much memory a training will need, and a message a person can act on when the device has less.

An estimate from arithmetic, not a promise: attention and the allocator are covered by a margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from parler_assets.recipe import Training
from parler_assets.tts.training.job import TrainingRefused

MARGIN = 1.15
CARD_SHARE = 0.95  # of a card; the rest is the driver's
_GB = 1e9
LEAST = 1000  # positions of a micro-batch that is worth having: a clip of ten seconds


@dataclass(frozen=True)
class Memory:
    """Bytes. `weights` float32, `optimizer` gradients and both moments, `activations` of the largest micro-batch."""

    weights: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return MARGIN * (self.weights + self.optimizer + self.activations)

    def __str__(self) -> str:
        parts = f"weights {self.weights / _GB:.1f}, gradients and optimizer {self.optimizer / _GB:.1f}"
        return f"{self.total / _GB:.1f} GB ({parts}, activations {self.activations / _GB:.1f}, margin 15 %)"


def estimate(model: nn.Module, decoder, settings: Training, positions: int) -> Memory:
    """Memory of training with micro-batches of at most `positions` decoder positions, padding included.

    Kept for the backward pass of a layer and position: seven vectors around the two attentions and three more around
    the feed-forward, in the width of the computation, its two inner vectors, and the residual stream in float32. With
    checkpointing only the residual stream of a layer, and one whole layer.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained = sum(count for count, grad in sizes if grad)
    width = 2 if settings.precision == "bfloat16" else 4
    d, f, layers = decoder.hidden_size, decoder.ffn_dim, decoder.num_hidden_layers
    stream, layer = 3 * 4 * d, width * (10 * d + 2 * f) + 3 * d
    kept = layers * 4 * d + layer if settings.gradient_checkpointing else layers * (stream + layer)
    heads = 3 * 4 * decoder.num_codebooks * decoder.vocab_size
    weights = 4 * sum(count for count, _ in sizes)
    if settings.precision == "bfloat16":
        weights += 2 * trained  # autocast keeps a copy of the weights for one pass
    return Memory(weights, 12 * trained, positions * (kept + heads))


def positions_that_fit(model: nn.Module, decoder, settings: Training, room: float) -> int:
    """Decoder positions of a micro-batch for which `room` bytes suffice; not above 0 where even the weights do not."""
    one = estimate(model, decoder, settings, 1)
    return int((room / MARGIN - one.weights - one.optimizer) / one.activations)


def room_of_cards(device: str) -> float:
    """Bytes that a training may count on, of the smallest card of this process; the same whenever it is resumed."""
    totals = [torch.cuda.get_device_properties(card).total_memory for card in range(torch.cuda.device_count())]
    return min(CARD_SHARE * min(totals), available(device))


def available(device: str) -> int:
    """Free bytes of a GPU, or available bytes of this machine."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def refuse_if_too_large(memory: Memory, free: float, settings: Training, positions: int) -> None:
    """Stop before the first step when the estimate is above what is free.

    Raises:
        TrainingRefused: with the estimate and what would make it smaller.
    """
    if memory.total <= free:
        return
    room = free / MARGIN - memory.weights - memory.optimizer
    fitting = int(room / max(memory.activations / positions, 1))
    remedies = [f"training.max_positions: {fitting // 100 * 100}"] if fitting >= LEAST else []
    if not settings.gradient_checkpointing:
        remedies.append("training.gradient_checkpointing: true")
    if not settings.lora and MARGIN * (memory.weights + memory.optimizer) > free / 2:  # adapters leave activations
        remedies.append("training.lora: {rank: 16}")
    raise TrainingRefused(
        f"training needs about {memory}, the device has {free / _GB:.1f} GB free; "
        f"set {' or '.join(remedies) or 'a smaller base'}, or use a larger device"
    )
