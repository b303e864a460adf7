"""Trainings that end at a chosen moment as a power cut would end them.

`python victims.py cases.json` trains every [job, moment, k]: it kills itself at the k-th time the moment comes. The
trainings are forked from a process that has imported everything and computed nothing: whoever forks after torch has
used several threads gets a child that waits for ever for threads it does not have. `python victims.py job.json` is one
training that kills itself at its fifth update.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from parler_assets.tts.training import checkpoints, metrics, result
from parler_assets.tts.training.job import Job
from parler_assets.tts.training.loop import FineTuner
from parler_assets.tts.training.worker import train

MOMENTS = {
    "at an update": (FineTuner, "update"),
    "while a checkpoint is written": (checkpoints, "_optimizer_tensors"),
    "before a checkpoint has its name": (checkpoints, "put_in_place"),
    "while metrics are written": (metrics, "append"),
    "while the result is written": (result, "_copy_missing"),
}
Case = tuple[Job, str, int]
# Seconds that one training, and all of them, may take on a machine that is busy with other things.
ONE, ALL = 120, 280


def killed(cases: Sequence[Case], folder: Path) -> list[int]:
    """Exit codes of the cases' trainings, negative for a signal: -9 is what they should be."""
    file = folder / "cases.json"
    file.write_text(json.dumps([[str(job.folder / "job.json"), moment, k] for job, moment, k in cases]))
    done = subprocess.run([sys.executable, __file__, str(file)], stdout=subprocess.PIPE, check=True, timeout=ALL)
    return json.loads(done.stdout.splitlines()[-1])


def _victim(job: str, moment: str, k: int) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(ONE)  # a training that hangs is a training that was not killed
        try:
            _kill_at(*MOMENTS[moment], k)
            train(Job.read(Path(job)))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_at(owner, name: str, k: int) -> None:
    """Let the k-th call of a function end the process."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        calls.append(1)
        if len(calls) == k:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)

    setattr(owner, name, wrapped)


def main(file: Path) -> None:
    torch.set_num_threads(1)
    if file.name == "job.json":
        _kill_at(*MOMENTS["at an update"], 5)
        train(Job.read(file))
    else:
        print(json.dumps([_victim(*case) for case in json.loads(file.read_text())]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
