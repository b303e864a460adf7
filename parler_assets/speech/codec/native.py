"""Loops of this project's own in C++, compiled for this machine's CPU where it has g++; all works without, more slowly.

A source is compiled once a process, in less than a second, into a temporary folder that goes when it is loaded: nothing
is installed, and nothing made for another processor can be found.
"""

from __future__ import annotations

import ctypes
import logging
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

COMPILE = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-c")
_EACH = 2**20  # multiplications of one thread, at least: about a tenth of a millisecond
_log = logging.getLogger(__name__)


@cache
def compiled(source: Path) -> ctypes.CDLL | None:
    """The functions of a source file, None where they cannot be made."""
    compiler = shutil.which("g++")
    if compiler is None:
        _log.info("no g++: where it is installed, speech on a CPU takes about half the time")
        return None
    try:
        return _loaded(compiler, source)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        _log.warning("going on without %s, which %s could not compile: %s", source.name, compiler, said)
        return None


def _loaded(compiler: str, source: Path) -> ctypes.CDLL:
    """Compiled with -ffast-math, linked without: linking with it would change rounding in the whole process. OpenMP is
    not linked either: its functions, and its threads, are those that torch has loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        made, shared = Path(folder, "made.o"), Path(folder, "made.so")
        for command in ([*COMPILE, str(source), "-o", str(made)], ["-shared", str(made), "-o", str(shared), "-lm"]):
            subprocess.run([compiler, *command], check=True, capture_output=True, text=True, timeout=120)
        return ctypes.CDLL(str(shared))


def threads(multiplications: int) -> int:
    """As many of torch's threads as have work: with little of it, waiting for each other takes longer than doing it."""
    return max(1, min(torch.get_num_threads(), multiplications // _EACH))
