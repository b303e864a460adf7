"""Files that are whole or absent: written beside, synced, and renamed into place; digests that tell a change."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parler_assets.storage import disk

SETTLED_NS = 50_000_000  # file systems stamp times no finer than some milliseconds


def write_json(path: Path, content: dict | list) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, whatever happens."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path`, synced, when the block succeeds.

    Raises:
        DiskError: the disk did not take it, whatever library wrote it; nothing of the attempt is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with disk.writing(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_known: dict[Path, tuple[tuple[int, ...], str]] = {}


def known_sha256(path: Path) -> str:
    """The SHA-256 of a file, computed once per process for as long as size, times and inode stay.

    A file that was changed a moment ago is not remembered: a second change could leave it with the same time.
    """
    path = path.resolve()
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    known = _known.get(path)
    if known and known[0] == stamp:
        return known[1]
    checksum = sha256_of(path)
    if abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS:
        _known[path] = (stamp, checksum)
    return checksum
