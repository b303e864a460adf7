"""Faults of files, of signals, and two at once. Files are found by walking the workspace: no list to forget one in."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fault_place import DATA, HOME, Place
from fault_verdict import Case

from tests.support.stored_files import DAMAGES, cut, flip, kinds

FILES, SIGNALS, TWO = "files flipped, cut, emptied, deleted", "signals", "two at once"


def cases(place: Place, seed: int) -> Iterator[Case]:
    """Every damage to one file of every kind; kills at random moments; pairs of damages."""
    chosen = random.Random(seed)
    walked = [(root, kinds(place.finished / root)) for root in (DATA, HOME)]
    found = {
        f"{root}/{kind}": f"{root}/{chosen.choice(n)}" for root, all_kinds in walked for kind, n in all_kinds.items()
    }
    for kind, name in found.items():
        for damage, do in DAMAGES.items():
            yield _damaged(damage, kind, name, do)
    for number in range(12):
        moment = chosen.uniform(0.5, 16)
        yield Case(
            SIGNALS, f"kill -9 after {moment:.1f} s ({number})", state="empty", kill=_after(moment), repeats=True
        )
        yield Case(
            SIGNALS, f"kill -15 after {moment:.1f} s ({number})", state="empty",
            kill=_after(moment, signal.SIGTERM), repeats=True,
        )  # fmt: skip
    names = sorted(found.values())
    for number in range(12):
        yield _pair(number, *chosen.sample(names, 2), chosen.random())


def _damaged(damage: str, kind: str, name: str, do: Callable[[Path], None]) -> Case:
    return Case(FILES, f"{damage} {kind}", lambda place: do(place.here / name), [name])


def _pair(number: int, one: str, other: str, at: float) -> Case:
    def do(place: Place) -> None:
        flip(place.here / one, at)
        cut(place.here / other, at)

    return Case(TWO, f"flip {one}, cut {other} ({number})", do, [one, other])


def _after(seconds: float, number: int = signal.SIGKILL) -> Callable[[int], None]:
    """Signal a command's own process some seconds after it began, as a user or the kernel does."""

    def kill(child: int) -> None:
        time.sleep(seconds)
        os.kill(child, number)

    return kill
