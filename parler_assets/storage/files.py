"""Files that are whole or absent: written beside, synced, and renamed into place; digests that tell a change."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

SEAL = "seal"
SETTLED_NS = 50_000_000  # file systems stamp times no finer than some milliseconds


def write_json(path: Path, content: dict | list) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, whatever happens."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_sealed(path: Path, content: dict) -> None:
    """Write JSON with a digest of itself, which `read_sealed` compares."""
    write_json(path, {**content, SEAL: _seal(content)})


class OtherVersion(ValueError):
    """A file of another schema version than the code that reads it."""


def read_sealed(path: Path, keys: set[str], version: int | None = None) -> dict[str, Any]:
    """What `write_sealed` wrote. Files of before, without a digest, are accepted.

    Raises:
        OSError: it cannot be read.
        OtherVersion: its `schema_version` is not `version`.
        ValueError: it is no JSON, has other keys than `keys`, or is not what was written.
    """
    content = json.loads(path.read_bytes())
    if version is not None and isinstance(content, dict) and content.get("schema_version", version) != version:
        raise OtherVersion(f"schema version {content['schema_version']}, this code reads {version}")
    if not isinstance(content, dict) or content.keys() - {SEAL} != keys:
        raise ValueError(f"it should hold {', '.join(sorted(keys))}")
    seal = content.pop(SEAL, None)
    if seal is not None and seal != _seal(content):
        raise ValueError("its content is not what was written")
    return content


def _seal(content: dict) -> str:
    plain = json.loads(json.dumps(content))  # as a reader has it: keys are strings, tuples are lists
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


class replacing:
    """Context manager: yields a temporary path that replaces `path`, synced, when the block succeeds."""

    def __init__(self, path: Path) -> None:
        self.path, self.temporary = path, path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        with self.temporary.open("rb+") as file:
            os.fsync(file.fileno())
        self.temporary.replace(self.path)
        _sync_folder(self.path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_known: dict[Path, tuple[tuple[int, int, int], str]] = {}


def known_sha256(path: Path) -> str:
    """The SHA-256 of a file, computed once per process for as long as size, time and inode stay.

    A file that was changed a moment ago is not remembered: a second change could leave it with the same time.
    """
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
    known = _known.get(path)
    if known and known[0] == stamp:
        return known[1]
    checksum = sha256_of(path)
    if abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS:
        _known[path] = (stamp, checksum)
    return checksum
