"""Which device a step computes on, when a machine has several.

Dagster's pool `gpu` counts steps and names no device. Here every device has a lock file: the operating system gives the
lock back however its holder ends, so a crash leaves no device taken.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout
from pydantic import Field

from parler_assets.resources.workspace import Workspace

RAY = "PARLER_RAY"  # Ray cluster for tags and codes: auto, ray://host:10001, local; unset: none
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


class Accelerator(dg.ConfigurableResource):
    """The device that networks run on, and what a shard takes of the cluster that large corpora are spread over.

    The cluster's address comes from PARLER_RAY alone: whoever answers there may run code here, so that it is for the
    machine's owner to choose and not for a run's configuration.
    """

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:1; auto takes a free GPU if there is one")
    ray_gpus: float = Field(default=0.0, description="GPUs that the making of one shard holds on a Ray cluster")

    def taken(self, workspace: Workspace, several: bool = False) -> AbstractContextManager[str]:
        """The device, held until the block ends; `several` takes all GPUs, for one process on each."""
        locks = workspace.data / "locks" / socket.gethostname()  # the folder may be shared, devices are not
        return taken(self.device, locks, several)

    @contextmanager
    def spread(self, workspace: Workspace) -> Iterator[str]:
        """The device for work that is cut into shards: one of this machine, or that of each worker of a Ray cluster."""
        address = os.environ.get(RAY, "")
        if not address:
            with self.taken(workspace) as device:
                yield device
            return
        from parler_assets.storage.executors import over_ray

        with over_ray(address, self.ray_gpus):
            yield "cuda" if self.ray_gpus else "cpu"
