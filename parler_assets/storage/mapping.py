"""A stage that is made from another's shards, one from each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from parler_assets.storage.manifest import Shard, read_manifest
from parler_assets.storage.reading import read_groups, read_shard
from parler_assets.storage.writing import Executor, Part, StageResult, build


def map_shards(
    source: Path,
    folder: Path,
    fingerprint: str,
    transform: Callable[[pa.Table], Part],
    *,
    columns: list[str] | None = None,
    label: str = "",
    facts: Callable[[], dict] | None = None,
    rebuild: bool = False,
    executor: Executor | None = None,
    room: Callable[[], float] | None = None,
) -> StageResult:
    """A stage whose shard `i` is made from shard `i` of `source` alone. The source's digest joins the fingerprint."""

    def made(shard: Shard) -> Part:
        return transform(read_shard(source, shard, columns))

    return _map(
        source, folder, fingerprint, made, label=label, facts=facts, rebuild=rebuild, executor=executor, room=room
    )


def map_groups(
    source: Path,
    folder: Path,
    fingerprint: str,
    transform: Callable[[Iterator[pa.Table]], Part],
    *,
    columns: list[str],
    **options: Any,
) -> StageResult:
    """`map_shards` for shards of audio: `transform` gets the tables that a shard was written in, one at a time.

    `options` are those of `map_shards`.
    """

    def made(shard: Shard) -> Part:
        return transform(read_groups(source, shard, columns))

    return _map(source, folder, fingerprint, made, **options)


def _map(source: Path, folder: Path, fingerprint: str, made: Callable[[Shard], Part], **options: Any) -> StageResult:
    manifest = read_manifest(source)
    combined = hashlib.sha256(f"{fingerprint}:{manifest.digest}".encode()).hexdigest()[:16]
    return build(folder, combined, len(manifest.shards), lambda index: made(manifest.shards[index]), **options)
