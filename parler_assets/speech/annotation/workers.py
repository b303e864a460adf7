"""Clips measured on a CPU by several threads, each with clips of its own and all of them at once.

torch's way to use several cores is to share out every single operation and wait for the slowest share. The networks
here are made of thousands of small ones, so that half of the second core was spent on waiting. A thread that measures
its own clips waits for nobody. What a thread takes does not depend on how many there are, so neither do the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from parler_assets.speech.audio import Clip

UNIT = 60.0  # seconds of audio that a thread takes at a time

Result = TypeVar("Result")


def units(clips: Sequence[Clip]) -> list[slice]:
    """Neighbouring clips of together at most `UNIT` seconds, or one longer clip."""
    found, start, total = [], 0, 0.0
    for index, clip in enumerate(clips):
        if index > start and total + clip.seconds > UNIT:
            found.append(slice(start, index))
            start, total = index, 0.0
        total += clip.seconds
    return [*found, slice(start, len(clips))] if len(clips) else []


def spread(work: Callable[[slice], list[Result]], parts: Sequence[slice]) -> list[Result]:
    """The results of every part in their order, computed by as many threads as torch may use."""
    import torch

    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:
        return [result for part in parts for result in work(part)]
    with _one_core_each(), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return [result for results in pool.map(work, parts) for result in results]


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Threads that begin in the block run torch's operations by themselves."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
