"""Chat templates of models: programs in Jinja, whose time and memory are bounded while they run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jinja2

from parler_assets.intake.files import MIB
from parler_assets.intake.refusal import Refusal

LONGEST, WRITTEN = 1 << 16, 1 << 20  # characters of a template, and of what it writes
SECONDS, MEMORY = 5.0, 512 * MIB  # of one conversation
EVENTS = 1 << 10  # lines between two looks at the clock


def refuse_template(text: str) -> None:
    """Templates that are longer than any in use, or calculate what one step may take without end.

    Raises:
        Refusal: naming the line.
    """
    if len(text) > LONGEST:
        raise Refusal(f"a chat template of {len(text):,} characters, and at most {LONGEST:,} are read")
    try:
        for line, kind, value in jinja2.Environment().lex(text):
            if kind == "operator" and value in ("*", "**"):
                raise Refusal(f"its chat template multiplies on line {line}, which none needs: choose another model")
    except jinja2.TemplateError as error:
        raise Refusal(f"its chat template cannot be read: {error}") from None


def written(render: Callable[[], str]) -> str:
    """What a template writes.

    Raises:
        Refusal: it fails, goes on for too long, needs too much memory or writes too much.
    """
    try:
        with _bounded():
            text = render()
    except _TooLong:
        raise Refusal(f"its chat template takes more than {SECONDS:g} s for one prompt: choose another model") from None
    except MemoryError:
        raise Refusal("its chat template needs more memory than a prompt may: choose another model") from None
    except Exception as error:  # whatever a template makes of a conversation
        raise Refusal(f"its chat template fails: {next(iter(str(error).splitlines()), type(error).__name__)}") from None
    if len(text) > WRITTEN:
        raise Refusal(f"its chat template writes {len(text):,} characters for one prompt, at most {WRITTEN:,} are read")
    return text


class _TooLong(BaseException):
    """No `except Exception` on the way takes it for its own."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Within, this thread's lines of Python end after a time, and the process grows no further than a limit."""
    ends, lines, before = time.monotonic() + SECONDS, 0, sys.gettrace()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()

    def look(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += 1
        if lines % EVENTS == 0 and time.monotonic() > ends:
            raise _TooLong
        return look

    most = taken + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(soft, most), hard))
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
