"""A command in a pseudo-terminal: what a person sees who types it, as text with its control characters."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


def pair() -> tuple[int, int]:
    """The two ends of a terminal of 160 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    return ours, theirs


def in_terminal(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code, and everything that was shown."""
    ours, theirs = pair()
    shown: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, shown))
    settings = {**os.environ, **environment, "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=cwd, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    reader.start()
    code = process.wait()
    reader.join()
    os.close(ours)
    return code, b"".join(shown).decode("utf-8", "replace")


def _read(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            return
        if not piece:
            return
        shown.append(piece)


def drawn(shown: str) -> list[str]:
    """Every state that a line of the terminal was in, without the characters that move the cursor."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [state.rstrip() for state in re.split(r"[\r\n]+", plain) if state.strip()]
