"""Sharded Parquet: how every stage of a lane is written.

A stage's output is a folder of Parquet shards and `manifest.json`, written last. Readers go through the manifest only,
so a folder is either complete or, to a reader, absent. A shard is written to a temporary name, synced and renamed, with
a small record beside it; a stage that was killed finds those records and goes on at the first missing shard. Records
stay when the manifest is written: what is lost or damaged later costs that shard, and a lost manifest only hashing.
A stage is found finished when the bytes of all its files are those that were written. File names
carry the fingerprint of the settings and inputs they came from: shards of another fingerprint are never mixed in, and
the previous complete output stays readable until the new manifest replaces the old one.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from parler_assets.storage.files import known_sha256, read_sealed, replacing, sha256_of, write_sealed
from parler_assets.storage.manifest import (
    MANIFEST,
    Manifest,
    SetAside,
    Shard,
    ShardError,
    read_manifest,
    write_manifest,
)
from parler_assets.storage.reading import read_shard

logger = logging.getLogger(__name__)

# Who makes missing shards: given their numbers and what makes one, it returns when all are made.
Executor = Callable[[Sequence[int], Callable[[int], None]], None]


@dataclass(frozen=True)
class Streamed:
    """A table that need not fit in memory: its schema, and its rows a piece at a time."""

    schema: pa.Schema
    pieces: Iterable[pa.Table]


@dataclass(frozen=True)
class Part:
    """One shard's worth of work: its table, the rows kept out of it, and names of files `make` wrote beside it."""

    table: pa.Table | Streamed
    set_aside: Sequence[SetAside] = ()
    beside: Sequence[str] = ()


@dataclass(frozen=True)
class StageResult:
    """A finished stage: where it lies, and whether anything had to be computed."""

    folder: Path
    manifest: Manifest
    reused: bool
    seconds: float

    @property
    def digest(self) -> str:
        return self.manifest.digest


def build(
    folder: Path,
    fingerprint: str,
    parts: int,
    make: Callable[[int], Part],
    *,
    label: str = "",
    facts: Callable[[], dict] | None = None,
    rebuild: bool = False,
    executor: Executor | None = None,
) -> StageResult:
    """Run `make` for every part that is not there yet and publish the manifest.

    Args:
        folder: where shards and manifest go; created when missing.
        fingerprint: digest of everything the output depends on (settings, input digests, code version).
        parts: number of shards; `make(i)` must depend on `i` alone.
        make: computes shard `i`.
        label: what the progress bar says.
        facts: called once after the last shard; its JSON-able result is kept in the manifest.
        rebuild: forget a finished output of the same fingerprint first.
        executor: who makes the missing shards, such as the workers of `executors.over_ray`; None: this process.
    """
    started = time.perf_counter()
    with exclusive(folder):
        if rebuild:
            _forget(folder, fingerprint)
        published = _published(folder, fingerprint)
        if published and _intact(folder, published):
            return StageResult(folder, published, reused=True, seconds=time.perf_counter() - started)
        kept = _unrecorded(folder, published) if published else {}
        if executor:
            _make_ahead(folder, fingerprint, [i for i in range(parts) if i not in kept], make, executor)
        shards, aside = [], []
        for index in tqdm(range(parts), desc=label or folder.name, unit="shard", mininterval=0.5, leave=False):
            shard, kept_out = (kept[index], []) if index in kept else _shard(folder, fingerprint, index, make)
            shards.append(shard)
            aside.extend(kept_out)
        if published and kept:  # which of these rows belong to an unrecorded shard is not known
            aside = list(published.set_aside)
        manifest = Manifest(fingerprint, tuple(shards), tuple(aside), facts() if facts else {})
        write_manifest(folder, manifest)
        _remove_orphans(folder, manifest)
    return StageResult(folder, manifest, reused=False, seconds=time.perf_counter() - started)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes from building the same folder: they wait, and then find it finished.

    The operating system gives the lock back however its holder ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("%s: another process is building it; waiting for that to finish", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def build_shard(folder: Path, fingerprint: str, index: int, make: Callable[[int], Part]) -> None:
    """Make one shard of a stage ahead of `build`, which then finds it: what a pool of workers calls."""
    folder.mkdir(parents=True, exist_ok=True)
    _shard(folder, fingerprint, index, make)


def _make_ahead(
    folder: Path, fingerprint: str, wanted: Sequence[int], make: Callable[[int], Part], executor: Executor
) -> None:
    """Have missing shards made by others; `build` then checks each against its record."""
    missing = [index for index in wanted if not _recorded(folder, folder / f"{_name(index, fingerprint)}.json")]
    if missing:
        executor(missing, partial(build_shard, folder, fingerprint, make=make))


def _name(index: int, fingerprint: str) -> str:
    return f"part-{index:05d}-{fingerprint[:12]}"


def _shard(folder: Path, fingerprint: str, index: int, make: Callable[[int], Part]) -> tuple[Shard, list[SetAside]]:
    name = _name(index, fingerprint)
    record = folder / f"{name}.json"
    known = _recorded(folder, record)
    if known:
        return known
    part = make(index)
    with replacing(folder / f"{name}.parquet") as temporary:
        rows = _write(part.table, temporary)
        checksum = sha256_of(temporary)
    shard = Shard(f"{name}.parquet", rows, checksum, {file: known_sha256(folder / file) for file in part.beside})
    write_sealed(record, {"shard": asdict(shard), "set_aside": [asdict(row) for row in part.set_aside]})
    return shard, list(part.set_aside)


def _write(table: pa.Table | Streamed, path: Path) -> int:
    if not isinstance(table, Streamed):
        pq.write_table(table, path, compression="zstd")
        return table.num_rows
    rows = 0
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for piece in table.pieces:
            writer.write_table(piece.cast(table.schema))
            rows += piece.num_rows
    return rows


def _recorded(folder: Path, record: Path) -> tuple[Shard, list[SetAside]] | None:
    """The shard that `record` promises, if the file is there and is the one that was recorded."""
    try:
        content = read_sealed(record, {"shard", "set_aside"})
        shard = Shard(**content["shard"])
        if shard.damage(folder):
            return None
        return shard, [SetAside(**row) for row in content["set_aside"]]
    except (OSError, ValueError, TypeError):
        return None


def _published(folder: Path, fingerprint: str) -> Manifest | None:
    try:
        manifest = read_manifest(folder)
    except ShardError:
        return None
    return manifest if manifest.fingerprint == fingerprint else None


def _unrecorded(folder: Path, manifest: Manifest) -> dict[int, Shard]:
    """Intact shards that only the manifest knows: their record was lost, or removed as it once was."""
    return {
        index: shard
        for index, shard in enumerate(manifest.shards)
        if not shard.damage(folder) and not _recorded(folder, (folder / shard.file).with_suffix(".json"))
    }


def _intact(folder: Path, manifest: Manifest) -> bool:
    """Whether all files are what was written. Digests are computed outside the interpreter's lock."""
    with ThreadPoolExecutor() as pool:
        damages = [damage for damage in pool.map(lambda shard: shard.damage(folder), manifest.shards) if damage]
    for damage in damages:
        logger.warning("%s; it is made again", damage)
    return not damages


def _forget(folder: Path, fingerprint: str) -> None:
    for record in folder.glob(f"part-*-{fingerprint[:12]}.json"):
        record.unlink()
    (folder / MANIFEST).unlink(missing_ok=True)


def _remove_orphans(folder: Path, manifest: Manifest) -> None:
    """Remove what the published manifest does not name: shards and records of older fingerprints, temporaries."""
    shards = [Path(shard.file) for shard in manifest.shards]
    keep = {MANIFEST, *(shard.name for shard in shards), *(shard.with_suffix(".json").name for shard in shards)}
    for path in [*folder.glob("part-*"), *folder.glob(".*.tmp")]:
        if path.name not in keep:
            path.unlink(missing_ok=True)


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
) -> StageResult:
    """A stage whose shard `i` is made from shard `i` of `source` alone. The source's digest joins the fingerprint."""
    manifest = read_manifest(source)
    combined = hashlib.sha256(f"{fingerprint}:{manifest.digest}".encode()).hexdigest()[:16]

    def make(index: int) -> Part:
        return transform(read_shard(source, manifest.shards[index], columns))

    parts = len(manifest.shards)
    return build(folder, combined, parts, make, label=label, facts=facts, rebuild=rebuild, executor=executor)
