"""What is said of a run whose process died without a word: while doing what, and whether the kernel ended it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import dagster as dg

PROCESS_TAG = "parler/process"
KMSG = Path("/dev/kmsg")
CGROUP = Path("/sys/fs/cgroup/memory.events")
REMEDY = (
    "use smaller numbers (training.max_positions, coding.batch_seconds, evaluation.batch_size, shards.rows) or a "
    "machine with more memory"
)


def how_it_ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """A sentence on a run whose process is gone."""
    begun = _unfinished(instance, run.run_id)
    doing = f"while it made {', '.join(begun)}" if begun else "between two steps"
    process = int((run.tags.get(PROCESS_TAG) or "0").split("-")[0])
    if _named_by_kernel(process):
        why = f"killed {doing}, by the kernel, because the machine ran out of memory: {REMEDY}"
    elif _cgroup_killed():
        why = f"killed {doing}; the kernel has ended processes here for want of memory: if that was why, {REMEDY}"
    else:
        why = f"ended {doing} without a word (killed, or the machine went down): if it was for want of memory, {REMEDY}"
    return f"run {run.run_id[:8]} was {why}. What it finished is kept and used again"


def _unfinished(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Steps that began and did not end, by the names of their assets."""
    stats = instance.get_run_step_stats(run_id)
    open_steps = [step.step_key for step in stats if step.start_time and not step.end_time]
    return [key.replace("__", "/") for key in open_steps if not key.startswith("check_")]


def _named_by_kernel(process: int) -> bool:
    """Whether the kernel's log says that it killed this process; False where the log may not be read."""
    try:
        handle = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return any(re.search(rf"Killed process {process}\b", line) for line in _lines(handle))
    finally:
        os.close(handle)


def _lines(handle: int) -> list[str]:
    lines: list[str] = []
    while True:
        try:
            line = os.read(handle, 8192)
        except BlockingIOError:
            return lines
        except OSError:  # a line was overwritten meanwhile
            continue
        if not line:
            return lines
        lines.append(line.decode("utf-8", "replace"))


def _cgroup_killed() -> bool:
    """Whether a process of this container was killed for want of memory since it was started."""
    try:
        counts = dict(line.split() for line in CGROUP.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return False
    return int(counts.get("oom_kill", 0)) > 0
