"""Two sides of one comparison: this project and the reference, each in a process of its own on one CPU thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # tests/support/tiny_checkpoint.py makes what both sides load


def run(python: str, script: str, *arguments: object) -> dict:
    """The JSON object on the last line that `script` of this folder prints, run with one CPU thread."""
    # -P in the reference's environment: its package has modules named like files of this folder
    apart = [] if python == sys.executable else ["-P"]
    command = [python, *apart, str(HERE / script), *map(str, arguments)]
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def least(rounds: int, sides: dict[str, Callable[[], dict[str, float]]]) -> dict[str, dict[str, float]]:
    """CPU seconds by side and task. Sides alternate, since the machine may be shared; the least time of each counts."""
    found: dict[str, dict[str, float]] = {name: {} for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            for task, seconds in measure().items():
                found[name][task] = min(seconds, found[name].get(task, float("inf")))
    return found


def bandwidth(device: str, size: int = 2**28) -> float:
    """Bytes a second that a device reads when it adds up numbers from memory, on one thread of a CPU."""
    import torch

    torch.set_num_threads(1)
    numbers, best = torch.ones(size // 4, device=device), float("inf")
    for _ in range(5):
        started = time.perf_counter()
        float(numbers.sum())
        best = min(best, time.perf_counter() - started)
    return size / best


def table(title: str, columns: Sequence[str], rows: dict[str, Sequence[str]]) -> None:
    print(f"\n| {title} | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")
