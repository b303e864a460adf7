"""Several processes of one training: the command that starts them, and how none outlives what started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

WORKER = "parler_assets.tts.training.worker"
CONFIG = "PARLER_ACCELERATE_CONFIG"
LAUNCHER = "PARLER_LAUNCHER"  # pid of the process that started the agent of this machine's ranks
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def several(processes: int, device: str, job: Path) -> list[str]:
    """The command that starts several processes on this machine, or this machine's part of several machines'."""
    config = os.environ.get(CONFIG)
    launch = [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    run = ["--mixed_precision", "no", "--num_processes", str(processes), "-m", WORKER, str(job)]
    if config:
        return [*launch, "--config_file", config, *run]
    if device == "cpu":  # where accelerate starts one process, however many are asked for
        torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
        return [*torchrun, "--nproc_per_node", str(processes), "-m", WORKER, str(job)]
    plain = ["--num_machines", "1", "--dynamo_backend", "no", "--main_process_port", "0"]
    return [*launch, "--multi_gpu", *plain, *run]


def exit_with_parent() -> None:
    """End this process group when standard input closes, which happens however the process that opened it ends."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def exit_with_agent() -> None:
    """End one rank when torch's agent ends, however it does. Ranks are in sessions of their own: no group reaches them.

    Must be called first thing. An agent that ended before is noticed by who is parent now: another than a moment ago,
    or one that is no child of LAUNCHER.
    """
    agent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    launcher = os.environ.get(LAUNCHER)
    if os.getppid() != agent or (launcher and _parent_of(agent) != int(launcher)):
        os.kill(os.getpid(), signal.SIGKILL)


def _parent_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
