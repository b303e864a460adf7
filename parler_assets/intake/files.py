"""Regular files, up to a size: a device, a pipe or a file without end is never waited for nor filled into memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from parler_assets.intake.refusal import Refusal

MIB = 1 << 20
DOCUMENT = 4 * MIB  # of a recipe, a card or a JSON document
SOUND = 512 * MIB
TABLE = 512 * MIB


def open_file(path: Path, most: int) -> BinaryIO:
    """A regular file of at most `most` bytes, opened for reading.

    Raises:
        FileNotFoundError: there is none.
        Refusal: it cannot be opened, is no regular file, or is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        raise Refusal(f"cannot be opened: {getattr(error, 'strerror', None) or error}", path) from None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= most:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise Refusal("is no regular file, and only such are read", path)
    raise Refusal(f"has {state.st_size / MIB:,.1f} MiB, and at most {most / MIB:,.0f} MiB are read", path)


def read_bytes(path: Path, most: int = DOCUMENT) -> bytes:
    """All bytes of a regular file; raises as `open_file` does."""
    with open_file(path, most) as file:
        stated = os.fstat(file.fileno()).st_size
        data = file.read(stated + 1)
    if len(data) > stated:
        raise Refusal("is longer than it states: it is being written, or it is no ordinary file; copy it", path)
    return data


def read_text(path: Path, most: int = DOCUMENT) -> str:
    """A text file in UTF-8, without the byte order mark that it may begin with; raises as `open_file` does."""
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refusal(f"not UTF-8 ({error.reason}): save it as UTF-8", path, line) from None
