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

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from parler_assets.progress import follow
from parler_assets.storage import disk
from parler_assets.storage.files import known_sha256, replacing, sha256_of
from parler_assets.storage.manifest import (
    MANIFEST,
    Manifest,
    SetAside,
    Shard,
    ShardError,
    read_manifest,
    write_manifest,
)
from parler_assets.storage.records import Schema

logger = logging.getLogger(__name__)

SEEN_LATE = 60.0  # seconds until a disk that is shared has to show what another machine wrote (NFS: acdirmax)
RECORD = Schema("shard", ("shard", "set_aside"))
# Who makes missing shards: given their numbers and what makes one, it returns when all are made.
Executor = Callable[[Sequence[int], Callable[[int], None]], None]


@dataclass(frozen=True)
class Streamed:
    """A table that need not fit in memory: its schema, and its rows a piece at a time."""

    schema: pa.Schema
    pieces: Iterable[pa.Table]


@dataclass(frozen=True)
class Part:
    """One shard's worth of work: its table, the rows kept out of it, and names of files `make` wrote beside it.

    Rows are kept out of a streamed table while its pieces are made, so `set_aside` is looked at after the last.
    """

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
    room: Callable[[], float] | None = None,
) -> StageResult:
    """Run `make` for every part that is not there yet and publish the manifest.

    Args:
        folder: where shards and manifest go; created when missing.
        fingerprint: digest of everything the output depends on (settings, input digests, code version).
        parts: number of shards; `make(i)` must depend on `i` alone.
        make: computes shard `i`.
        label: what is shown while it runs; the folder's name and its parent's unless given.
        facts: called once after the last shard; its JSON-able result is kept in the manifest.
        rebuild: forget a finished output of the same fingerprint first.
        executor: who makes the missing shards, such as the workers of `executors.over_ray`; None: this process.
        room: bytes that the whole stage takes, estimated; it is called only where something has to be made.

    Raises:
        DiskError: there is no room for what is missing, or the disk did not take it; finished shards are kept.
    """
    started = time.perf_counter()
    with exclusive(folder):
        if rebuild:
            _forget(folder, fingerprint)
        published = _published(folder, fingerprint)
        if published:
            _record_again(folder, published)
        if published and _intact(folder, published):
            _remove_orphans(folder, published)  # of one killed after it had published
            return StageResult(folder, published, reused=True, seconds=time.perf_counter() - started)
        kept = _unrecorded(folder, published) if published else {}
        files = [folder / f"{_name(index, fingerprint)}.parquet" for index in range(parts)]
        _check_room(folder, files, room)
        if executor:
            _make_ahead(folder, fingerprint, [i for i in range(parts) if i not in kept], make, executor)
        shards, aside = [], []
        for index in follow(range(parts), label or name_of(folder), parts, "shard"):
            shard, kept_out = (kept[index], []) if index in kept else _shard(folder, fingerprint, index, make)
            shards.append(shard)
            aside.extend(kept_out)
            if index == 0:
                disk.warn_of_rest(folder, files, parts)
        if published and kept:  # which of these rows belong to an unrecorded shard is not known
            aside = list(published.set_aside)
        manifest = Manifest(fingerprint, tuple(shards), tuple(aside), facts() if facts else {})
        write_manifest(folder, manifest)
        _remove_orphans(folder, manifest)
    return StageResult(folder, manifest, reused=False, seconds=time.perf_counter() - started)


def _check_room(folder: Path, files: Sequence[Path], room: Callable[[], float] | None) -> None:
    """Stop before the first shard where what is missing of a stage will not fit."""
    missing = sum(not file.exists() for file in files)
    if room and missing:
        disk.check_room(folder, room() * missing / len(files), name_of(folder))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes from building the same folder: they wait, and then find it finished.

    The operating system gives the lock back however its holder ends.
    """
    lock = FileLock(folder / ".lock")
    try:
        with disk.writing(Path(lock.lock_file)):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        logger.warning("%s: another process is building it; waiting for that to finish", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def name_of(folder: Path) -> str:
    """What a folder's work is called: a stage by its corpus, such as `studio/dac_codes`."""
    return f"{folder.resolve().parent.name}/{folder.name}"


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
        _await(
            folder, [f"{_name(index, fingerprint)}{suffix}" for index in missing for suffix in (".json", ".parquet")]
        )


def _await(folder: Path, names: Sequence[str]) -> None:
    """Wait for files that another machine has renamed into place: network disks show that late."""
    until = time.monotonic() + SEEN_LATE
    while not set(names) <= set(os.listdir(folder)):  # a listing asks the server where a look for one file does not
        if time.monotonic() > until:
            logger.warning("%s: files that workers made do not appear; their shards are made here", folder)
            return
        time.sleep(0.1)


def _name(index: int, fingerprint: str) -> str:
    return f"part-{index:05d}-{fingerprint[:12]}"


def _shard(folder: Path, fingerprint: str, index: int, make: Callable[[int], Part]) -> tuple[Shard, list[SetAside]]:
    name = _name(index, fingerprint)
    record = folder / f"{name}.json"
    known = _recorded(folder, record)
    if known:
        return known
    part = make(index)
    return write_shard(folder, name, part), list(part.set_aside)


def write_shard(folder: Path, name: str, part: Part) -> Shard:
    """Write `name`.parquet, whole or not at all, and the record that vouches for it."""
    with replacing(folder / f"{name}.parquet") as temporary:
        rows = _write(part.table, temporary)
        checksum = sha256_of(temporary)
    beside = {file: known_sha256(folder / file) for file in part.beside}
    shard = Shard(f"{name}.parquet", rows, checksum, beside, len(part.set_aside))
    _write_record(folder / f"{name}.json", shard, part.set_aside)
    return shard


def intact_shards(folder: Path) -> list[Path]:
    """The Parquet files in a folder, whatever they were made from, for whose bytes a record or the manifest vouches."""
    found = [known[0] for record in folder.glob("part-*.json") if (known := _recorded(folder, record))]
    with suppress(ShardError):
        found += [shard for shard in read_manifest(folder).shards if not shard.damage(folder)]
    return sorted({folder / shard.file for shard in found})


def _write_record(record: Path, shard: Shard, aside: Sequence[SetAside]) -> None:
    RECORD.write(record, {"shard": asdict(shard), "set_aside": [asdict(row) for row in aside]})


def _read_record(record: Path) -> tuple[Shard, list[SetAside]] | None:
    try:
        content = RECORD.read(record)
        aside = [SetAside(**row) for row in content["set_aside"]]
        return Shard(**{**content["shard"], "aside": len(aside)}), aside
    except (OSError, ValueError, TypeError):
        return None


def _record_again(folder: Path, manifest: Manifest) -> None:
    """Write the records that were lost or damaged: the manifest knows all that was in them."""
    for shard, aside in manifest.parts():
        record = (folder / shard.file).with_suffix(".json")
        if _read_record(record) is None:
            _write_record(record, shard, aside)


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
    found = _read_record(record)
    return found if found and not found[0].damage(folder) else None


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
