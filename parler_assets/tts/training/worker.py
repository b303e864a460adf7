"""One training process: `python -m parler_assets.tts.training.worker JOB.json`, alone or as one of several.

JOB.json is what `launch` (or `Job.write`) wrote. With `--exit-with-parent` the process watches its standard input, ends
with its whole process group when that closes (the launcher is gone), and where the job asks for several processes
starts them: by `accelerate launch` on GPUs, by torch's launcher on CPUs.

Several machines with GPUs: `accelerate config` writes a file on each, PARLER_ACCELERATE_CONFIG names it, and
training.processes counts the processes of all of them. The launcher's machine is rank 0; on every other one, which sees
the same folder,

    accelerate launch --config_file FILE --machine_rank 1 --num_processes N \
        -m parler_assets.tts.training.worker JOB.json
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from parler_assets.tts.training.ranks import LAUNCHER, exit_with_agent, exit_with_parent, several

if TYPE_CHECKING:
    from parler_assets.tts.training.job import Job

FAILURE = "failure.txt"
UNSAID = 64  # added to the number of the error for which the disk did not take that file


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path, help="a training's job.json")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    if given.exit_with_parent:
        exit_with_parent()
    elif "LOCAL_RANK" in os.environ:
        exit_with_agent()

    from parler_assets.tts.training.job import Job

    job = Job.read(given.job)
    if given.exit_with_parent and job.settings.processes > 1:
        ranks = several(job.settings.processes, job.device, given.job)
        return subprocess.run(ranks, env=os.environ | {LAUNCHER: str(os.getpid())}, check=False).returncode
    return explained(job)


def explained(job: Job) -> int:
    """Train; what must be said to the launcher is left in a file."""
    from parler_assets.tts.training.job import TrainingFailed, TrainingRefused

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        train(job)
    except (TrainingRefused, TrainingFailed) as error:
        logging.error("%s", error)
        try:
            (job.folder / FAILURE).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        except OSError as full:
            (job.folder / FAILURE).unlink(missing_ok=True)
            return UNSAID + (full.errno or 0)
        return 2
    return 0


def train(job: Job) -> None:
    """Train, resuming at the newest complete checkpoint, and write the result.

    Raises:
        TrainingRefused: the training set, the base or the device will not do.
        TrainingFailed: a loss was not finite, or nothing could be saved.
    """
    import torch

    from parler_assets.tts.training.assembly import assemble
    from parler_assets.tts.training.fitness import refuse_unfit
    from parler_assets.tts.training.job import TrainingFailed
    from parler_assets.tts.training.result import finish

    started = time.monotonic()
    refuse_unfit(job)
    trainer = assemble(job)
    try:
        trainer.run()
    except torch.OutOfMemoryError as error:
        raise TrainingFailed(
            "the device ran out of memory: set training.max_positions lower, training.gradient_checkpointing: true, "
            f"or training.lora ({error})"
        ) from error
    if trainer.accelerator.is_main_process:
        finish(job, trainer.step, time.monotonic() - started)
    trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    sys.exit(main())
