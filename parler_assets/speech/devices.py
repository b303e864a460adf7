"""Devices by name, as they are handed down: `cpu`, `cuda`, `cuda:1`, or `cuda:0,2` for two cards.

Who hands one down has reserved its cards (`resources.accelerator`); nothing below takes a card by itself.
"""

from __future__ import annotations

import gc
import os
import sys


def cards(device: str) -> list[int]:
    """The numbers of a device's cards among those that this process sees; none for `cpu`, `[0]` for `cuda`."""
    kind, _, numbers = device.partition(":")
    if kind != "cuda":
        return []
    return [int(number) for number in numbers.split(",")] if numbers else [0]


def first(device: str) -> str:
    """The one device, for a network that uses one, of those that were reserved."""
    kind, _, numbers = device.partition(":")
    return f"{kind}:{numbers.split(',')[0]}" if numbers else kind


def give_back() -> None:
    """Give the cards back what this process's let go networks held: PyTorch keeps it for itself otherwise."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def visible(device: str) -> dict[str, str]:
    """What a child process needs in its environment to see exactly the cards that `device` numbers."""
    if ":" not in device:
        return {}
    seen = seen_cards()
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen[card] if seen else str(card) for card in cards(device))}


def seen_cards() -> list[str]:
    """The cards as CUDA_VISIBLE_DEVICES names them, by this process's numbers; empty where it sees them all."""
    return [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
