"""Whether there is room for what is to be written, and one sentence for every way to say that a disk took it not.

Libraries report a full disk each in its own way: an `OSError` with or without its number, an error of SQLite, of
safetensors or of libsndfile that says nothing at all. Here they become a `DiskError`.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

GB = 1e9
KEPT = "run again: what is finished is kept"
MAKE_ROOM = f"free some space, or name a larger disk (PARLER_DATA for data, DAGSTER_HOME for runs), and {KEPT}"
SAID = {  # number of an error: what is wrong, and the remedy
    errno.ENOSPC: ("the disk is full", MAKE_ROOM),
    errno.EDQUOT: ("your quota is used up", MAKE_ROOM),
    errno.EFBIG: ("File too large for this disk or for `ulimit -f`", f"raise the limit and {KEPT}"),
    errno.EROFS: ("the disk is read-only", f"see `dmesg` for why, mount it for writing, and {KEPT}"),
    errno.EIO: ("the disk failed (input/output error)", f"see `dmesg`, check the disk, and {KEPT}"),
    errno.ESTALE: ("the network disk lost the file", f"mount it again and {KEPT}"),
}
_TEXTS = {  # how libraries that give no number say it
    errno.ENOSPC: r"No space left on device|database or disk is full|os error 28\b",
    errno.EDQUOT: r"Disk quota exceeded",
    errno.EFBIG: r"File too large",
    errno.EROFS: r"Read-only file system|attempt to write a readonly database",
    errno.EIO: r"disk I/O error|Input/output error",
    errno.ESTALE: r"Stale file handle",
}
_FULL = 64 << 10  # bytes that are free on a disk where a write failed for no other reason
MARGIN = 1.25


class DiskError(OSError):
    """A file that the disk did not take; the message names it, its size and the remedy. `errno` is the reason."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def reason(error: BaseException | None, path: Path | None = None) -> int | None:
    """The number of what a disk did not do, whichever library says so; None where an error is about something else.

    SQLite takes it for an input/output error when its log cannot grow: on a disk that is full, the one of `path`.
    """
    while error is not None:
        number = _number(error)
        if number is not None:
            return (full(path) if path and number == errno.EIO else None) or number
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return None


def _number(error: BaseException) -> int | None:
    if getattr(error, "errno", None) in SAID:
        return error.errno  # type: ignore[attr-defined]
    return next((number for number, text in _TEXTS.items() if re.search(text, str(error)[:1000])), None)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn what is raised while `path` is written, as `temporary` at first, into a `DiskError` if it is the disk's."""
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        number = reason(error, path) or _unsaid(error, path)
        if number is None:
            raise
        raise DiskError(number, explained(number, path, temporary or path)) from None


def _unsaid(error: Exception, path: Path) -> int | None:
    """NumPy and libsndfile do not say why they could not write: then it is the disk, where that is full."""
    unsaid = isinstance(error, OSError | RuntimeError) and getattr(error, "errno", None) is None
    return full(path) if unsaid else None


def explained(number: int, path: Path, temporary: Path) -> str:
    """The sentence for a file that could not be written, with how much of it was and what is free."""
    what, remedy = SAID[number]
    try:
        written = f"after {size(temporary.stat().st_size)} of it"
    except OSError:
        written = "not a byte of it"
    return f"{path} could not be written ({written}): {what}, {size(free(path))} are free; {remedy}"


def sentence(error: BaseException) -> str | None:
    """What to tell a person about an error that is a disk's, from wherever it came; None for any other."""
    number = reason(error)
    if number is None or isinstance(error, DiskError):
        return None if number is None else str(error)
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    what, remedy = SAID[number]
    return f"{named or 'a file'} could not be written: {what}; {remedy}"


def full(path: Path) -> int | None:
    """ENOSPC where nothing can be written any more, not even why something failed."""
    return errno.ENOSPC if free(path) < _FULL else None


def free(path: Path) -> int:
    """Bytes that are free where `path` is or will be."""
    return shutil.disk_usage(next(place for place in (path, *path.absolute().parents) if place.exists())).free


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / GB:.3g} GB" if count >= GB / 10 else f"{count / 1e6:.3g} MB"


def check_room(folder: Path, needed: float, what: str) -> None:
    """Stop before work whose result will not fit, and warn where it hardly will.

    Raises:
        DiskError: with what is needed and what is free.
    """
    there = free(folder)
    said = f"{folder}: {what} takes about {size(needed)}, {size(there)} are free"
    if needed > there:
        raise DiskError(errno.ENOSPC, f"{said}; {MAKE_ROOM}")
    if needed * MARGIN > there:
        logger.warning("%s: it may not fit; %s", said, MAKE_ROOM)


def warn_of_rest(folder: Path, made: list[Path], parts: int) -> None:
    """Warn when the parts that are still to be made will not fit, going by the size of those that are."""
    sizes = [file.stat().st_size for file in made if file.exists()]
    rest = (parts - len(sizes)) * sum(sizes) / max(len(sizes), 1)
    if rest > free(folder):
        there = size(free(folder))
        logger.warning(
            "%s: the other %d shards will take about %s, %s are free: free some space before the disk is full",
            folder, parts - len(sizes), size(rest), there,
        )  # fmt: skip
