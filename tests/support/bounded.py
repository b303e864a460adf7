"""Runs a reader in a child process that may use little memory and CPU time, and says how it ended."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parler_assets.intake import Refusal

MEMORY, CPU, WALL = 700 << 20, 5, 60  # bytes and seconds beyond what the test process has taken; seconds


def outcome(read: Callable, *arguments: Any) -> tuple[str, str]:
    """("refused", message), ("raised", error) or ("read", value); ("killed", signal) where a limit ended the child."""
    sys.stdout.flush()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_limited, args=(theirs, read, arguments))
    child.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(WALL) else ("killed", "still waiting")
    except EOFError:
        child.join(WALL)
        return "killed", str(child.exitcode)
    finally:
        child.kill()
        child.join()


def refusal(read: Callable, *arguments: Any) -> str:
    """The message of the refusal that `read` ends with."""
    kind, said = outcome(read, *arguments)
    assert kind == "refused", f"{kind}: {said[:300]}"
    return said


def _limited(answer: Any, read: Callable, arguments: tuple) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY,) * 2)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + CPU,) * 2)
    try:
        answer.send(("read", repr(read(*arguments))[:1000]))
    except Refusal as error:
        answer.send(("refused", str(error)))
    except BaseException as error:
        answer.send(("raised", repr(error)[:1000]))
    os._exit(0)
