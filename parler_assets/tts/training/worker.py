"""One training process: `python -m parler_assets.tts.training.worker JOB.json`, alone or as one of several.

JOB.json is what `launch` (or `Job.write`) wrote. With `--tied` the process watches its standard input, ends with its
whole process group when that closes (the launcher is gone), and where the job asks for several processes starts them:
by `accelerate launch` on GPUs, by torch's launcher on CPUs.

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
import signal
import subprocess
import sys
import threading
from pathlib import Path

MODULE = "parler_assets.tts.training.worker"
FAILURE = "failure.txt"
CONFIG = "PARLER_ACCELERATE_CONFIG"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path, help="a training's job.json")
    parser.add_argument("--tied", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    if given.tied:
        tie()

    from parler_assets.tts.training.job import Job

    job = Job.read(given.job)
    if given.tied and job.settings.processes > 1:
        command = distributed(job.settings.processes, job.device, given.job)
        return subprocess.run(command, check=False, env={**os.environ, "PYTHONSAFEPATH": "1"}).returncode
    return _train(job)


def distributed(processes: int, device: str, job: Path) -> list[str]:
    """The command that starts several processes on this machine, or this machine's part of several machines'."""
    several = os.environ.get(CONFIG)
    launch = [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    run = ["--mixed_precision", "no", "--num_processes", str(processes), "-m", MODULE, str(job)]
    if several:
        return [*launch, "--config_file", several, *run]
    if device == "cpu":  # where accelerate starts one process, however many are asked for
        spread = ["--standalone", "--nproc_per_node", str(processes)]
        return [
            sys.executable,
            "-P",
            "-m",
            "torch.distributed.run",
            *spread,
            "-m",
            MODULE,
            str(job),
        ]
    plain = ["--num_machines", "1", "--dynamo_backend", "no", "--main_process_port", "0"]
    return [*launch, "--multi_gpu", *plain, *run]


def _train(job) -> int:
    from parler_assets.tts.training.job import TrainingFailed, TrainingRefused
    from parler_assets.tts.training.process import train

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        train(job)
    except (TrainingRefused, TrainingFailed) as error:
        (job.folder / FAILURE).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        logging.error("%s", error)
        return 2
    return 0


def tie() -> None:
    """End with the launcher, whatever becomes of it."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()


def _end_with_launcher() -> None:
    """Wait until standard input closes, which happens however the launcher ends; then end this process group."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
