"""Which GPU a step computes on, when a machine has several.

Dagster's pool `gpu` counts steps and names no device. Here every device has a lock file: the operating system gives the
lock back however its holder ends, so a crash leaves no device taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PAUSE = 1.0  # seconds between two looks for a free device


def gpus() -> int:
    """How many CUDA devices this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def taken(wanted: str, locks: Path, several: bool = False, count: Callable[[], int] = gpus) -> Iterator[str]:
    """The device to compute on, held until the block ends.

    Args:
        wanted: a device such as `cpu` or `cuda:1`, taken as it is; `auto` waits for a free GPU, or gives the CPU.
        several: take all GPUs, for one process on each; the device is then `cuda`.
    """
    available = count() if wanted == "auto" else 0
    if not available:
        yield "cpu" if wanted == "auto" else wanted
        return
    with ExitStack() as held:
        if several or available == 1:
            for index in range(available):
                held.enter_context(_lock(locks, index))
            yield "cuda"
        else:
            yield f"cuda:{_first_free(locks, available, held)}"


def _first_free(locks: Path, available: int, held: ExitStack) -> int:
    while True:
        for index in range(available):
            try:
                held.enter_context(_lock(locks, index).acquire(timeout=0))
            except Timeout:
                continue
            return index
        time.sleep(PAUSE)


def _lock(locks: Path, index: int) -> FileLock:
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"cuda-{index}.lock")
