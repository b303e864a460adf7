"""Whether a downloaded file is what the Hub has: its name in the cache, or its note beside a copy, is its digest.

The Hub names a large file by its SHA-256 and a small one by Git's SHA-1, and the client keeps them for nothing but
knowing a file again. A damaged one would be used for ever, since nobody asks for it again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from parler_assets.storage import known_sha256
from parler_assets.storage.disk import writing

logger = logging.getLogger(__name__)

NOTES = Path(".cache", "huggingface", "download")  # of a folder that files were copied to: commit, digest, time


def whole(fetch: Callable[..., str]) -> Path:
    """The file in the Hub's cache that `fetch` gives; a damaged one is fetched again.

    Raises:
        DiskError: the disk did not take it.
        OSError: a damaged one cannot be fetched again; it stays, and is not used.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    with writing(Path(HF_HUB_CACHE)):
        path = Path(fetch())
    blob = path.resolve()
    if blob.parent.name != "blobs" or is_whole(blob, blob.name):
        return path
    logger.warning("%s: damaged (it is not what the Hub has); it is fetched again", path)
    with writing(path):
        return Path(fetch(force_download=True))


def is_whole(path: Path, etag: str) -> bool:
    """Whether a file is the one that the Hub calls by `etag`; true where that is no digest."""
    if len(etag) == 64:
        return known_sha256(path) == etag
    return len(etag) != 40 or git_sha1(path) == etag


def git_sha1(path: Path) -> str:
    """Git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def damaged_copies(folder: Path) -> list[Path]:
    """Files of a folder that was copied from the Hub that are not what was sent."""
    damaged = []
    for note in (folder / NOTES).rglob("*.metadata"):
        file = folder / note.relative_to(folder / NOTES).with_suffix("")
        lines = note.read_text(encoding="utf-8", errors="replace").splitlines()
        if file.is_file() and len(lines) > 1 and not is_whole(file, lines[1].strip()):
            damaged.append(file)
    return damaged


def forget_damaged(folder: Path) -> None:
    """Remove damaged files of a folder that was copied from the Hub, with their notes: they are fetched again."""
    for file in damaged_copies(folder):
        logger.warning("%s: damaged (it is not what the Hub sent); it is fetched again", file)
        file.unlink()
        note = folder / NOTES / file.relative_to(folder)
        note.with_name(f"{note.name}.metadata").unlink(missing_ok=True)
