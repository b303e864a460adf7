"""Which card computes what, when a machine has several: one lock a card, for Dagster's steps and all commands alike.

Dagster's pool `gpu` counts steps and names no card. Here every card has a lock file: the operating system gives the
lock back however its holder ends, so a crash leaves no card taken.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from filelock import FileLock, Timeout
from pydantic import Field

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from parler_assets.storage import Executor

RAY = "PARLER_RAY"  # Ray cluster for tags and codes: auto, ray://host:10001, local; unset: none
PAUSE = 1.0  # seconds between two looks for a free card


class DeviceError(ValueError):
    """A device that this machine does not have; the message says what to ask for."""


def gpus() -> int:
    """How many CUDA cards this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def locks_folder() -> Path:
    """Where this machine's locks are, whatever recipe or data folder is in use: PARLER_LOCKS, or the user's cache.

    The folder may be on storage that several machines share, cards are not: each machine has its own inside it.
    """
    chosen = os.environ.get("PARLER_LOCKS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parler-assets" / "locks"
    return (Path(chosen).expanduser() if chosen else cache) / socket.gethostname()


@contextmanager
def acquire(
    wanted: str, cards: int | None = 1, locks: Path | None = None, count: Callable[[], int] = gpus
) -> Iterator[str]:
    """The device to compute on (`cpu`, `cuda:1`, `cuda:0,2`), its cards held until the block ends.

    Args:
        wanted: `auto` takes free cards and waits for them, or gives the CPU where there are none; `cuda` the same, but
            never the CPU; a device such as `cuda:1` waits for that card.
        cards: how many are taken; None takes all of this machine, or all that are named; 0 none: that is the CPU.

    Raises:
        DeviceError: the machine has no such device, or fewer cards.
    """
    if wanted == "cpu" or cards == 0 or (not (found := count()) and wanted == "auto"):
        yield "cpu"
        return
    among = _named(wanted, found)
    needed = cards or len(among)
    if needed > len(among):
        lower = f"lower training.processes or describing.tensor_parallel to {len(among)}"
        raise DeviceError(f"{needed} GPUs are asked for, device {wanted} has {len(among)} on this machine: {lower}")
    with ExitStack() as held:
        chosen = _reserve(among, needed, locks or locks_folder(), held)
        yield "cuda:" + ",".join(map(str, chosen))


def _named(wanted: str, found: int) -> list[int]:
    """The cards that a device names; all for `auto` and `cuda`."""
    form = re.fullmatch(r"auto|cuda(?::(\d+(?:,\d+)*))?", wanted)
    if not form:
        raise DeviceError(f"device {wanted!r}: choose auto, cpu, cuda or a card such as cuda:1")
    named = sorted({int(number) for number in form[1].split(",")}) if form[1] else []
    if not found or (named and named[-1] >= found):
        has = f"the cards 0 to {found - 1}" if found > 1 else "one card, cuda:0" if found else "no CUDA device"
        raise DeviceError(f"device {wanted}: this machine has {has}; --device auto takes what there is")
    return named or list(range(found))


def _reserve(among: list[int], needed: int, locks: Path, held: ExitStack) -> list[int]:
    """Lock `needed` cards and give their numbers.

    One at a time collects several cards, so that no two wait for each other with half of theirs in hand. Who wants one
    card does not queue behind: it holds nothing while it waits.
    """
    chosen: list[int] = []
    said = False
    with _lock(locks, "queue") if needed > 1 else nullcontext():
        while True:
            for card in among:
                if card not in chosen and len(chosen) < needed and _taken(_lock(locks, _name(card)), held):
                    chosen.append(card)
            if len(chosen) == needed:
                return sorted(chosen)
            if not said:
                logger.warning("waiting for %d of the GPUs %s: other steps or commands use them", needed, among)
                said = True
            time.sleep(PAUSE)


def _taken(lock: FileLock, held: ExitStack) -> bool:
    try:
        held.enter_context(lock.acquire(timeout=0))
    except Timeout:
        return False
    return True


def _name(card: int) -> str:
    """A card by the name that CUDA_VISIBLE_DEVICES gives it: other processes may see other cards."""
    from parler_assets.speech.devices import seen_cards

    seen = seen_cards()
    return f"cuda-{re.sub(r'[^A-Za-z0-9-]', '_', seen[card]) if seen else card}"


def _lock(locks: Path, name: str) -> FileLock:
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


class Accelerator(dg.ConfigurableResource):
    """The device that networks run on, and what a shard takes of the cluster that large corpora are spread over.

    The cluster's address comes from PARLER_RAY alone: whoever answers there may run code here, so that it is for the
    machine's owner to choose and not for a run's configuration.
    """

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:1; auto takes a free GPU if there is one")
    ray_gpus: float = Field(default=0.0, description="GPUs that the making of one shard holds on a Ray cluster")

    def acquire(self, cards: int | None = 1) -> AbstractContextManager[str]:
        """The device, held until the block ends, with as many cards as asked for; None: all of this machine."""
        return acquire(self.device, cards)

    @contextmanager
    def spread(self, on_gpu: bool = True) -> Iterator[tuple[str, Executor | None]]:
        """The device for work that is cut into shards, and who makes them: this process, or a Ray cluster's workers."""
        address = os.environ.get(RAY, "")
        if not address:
            with self.acquire(1 if on_gpu else 0) as device:
                yield device, None
            return
        from parler_assets.storage.executors import over_ray

        with over_ray(address, self.ray_gpus) as executor:
            yield "cuda" if self.ray_gpus else "cpu", executor
