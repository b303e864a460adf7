"""Shards of a large corpus, made by the workers of a Ray cluster (extra `ray`) instead of this process alone.

A shard depends on its number, its settings and its source alone, so it does not matter who makes it: the bytes are
those of a single process. Workers call the same library functions and write into the same folder, which has to lie on
storage that all machines see. The process that asked writes the manifest, after checking shards against their records.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from parler_assets.storage.writing import Executor

RETRIES = 3  # how often a shard is begun again after its worker died, for example for want of memory


class SpreadError(RuntimeError):
    """The cluster could not do the work; the message says what to do. Finished shards are kept."""


@contextmanager
def over_ray(address: str, gpus: float = 0, **options: Any) -> Iterator[Executor]:
    """The workers of a Ray cluster, to be handed to `storage.build` until the block ends.

    Args:
        address: `local` starts workers on this machine; `auto` or `ray://host:10001` joins a cluster.
        gpus: GPUs that the making of one shard holds; Ray shows a worker only those.
        options: passed on to `ray.init`.

    Raises:
        SpreadError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _joined(address, options)
    try:
        yield partial(_make_all, ray, gpus)
    finally:
        ray.shutdown()


def _joined(address: str, options: dict[str, Any]) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise SpreadError("Ray is not installed: pip install 'parler-assets[ray]', or spread nothing") from None
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING, **options}
    if address == "local":
        settings["include_dashboard"] = False
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SpreadError(f"no Ray cluster at {address!r} ({reason}): start one, or use the address local") from None
    return ray


def _make_all(ray: Any, gpus: float, missing: Sequence[int], make: Callable[[int], None]) -> None:
    """Have every missing shard made; the first error of the work itself ends the rest."""
    shared = ray.put(make)
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_call)
    shards = {task.remote([shared], index): index for index in missing}
    pending = list(shards)
    try:
        while pending:
            (done,), pending = ray.wait(pending)
            _result(ray, done, shards[done])
    finally:
        for unfinished in pending:
            ray.cancel(unfinished)


def _result(ray: Any, done: Any, shard: int) -> None:
    try:
        ray.get(done)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        message = (
            f"a worker died {RETRIES + 1} times over shard {shard} (part-{shard:05d}): give workers more memory, or "
            "take fewer rows a shard (shards.rows)"
        )
        raise SpreadError(f"{message}; finished shards are kept ({str(error).splitlines()[0]})") from None


_known: dict[str, Callable[[int], None]] = {}


def _call(held: Sequence[Any], index: int) -> None:
    """Make one shard. A worker keeps what it calls, so that networks are loaded once and not for every shard."""
    import ray

    name = held[0].hex()
    if name not in _known:
        _known.clear()
        _known[name] = ray.get(held[0])
    _known[name](index)
