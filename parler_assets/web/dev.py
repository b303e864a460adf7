"""Dagster on this machine, in three processes: the code location, the daemon, and the page behind our guard.

`dagster dev` starts the same three but for the guard. The code location answers on a socket in a folder that only this
user can open, and is named by its module: no `workspace.yaml` and no `.env` of the current folder is read.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

MODULE, LOCATION = "parler_assets.definitions", "parler_assets"
START_SECONDS, STOP_SECONDS, POLL = 180.0, 20.0, 0.3
_PR_SET_PDEATHSIG = 1


class DevError(RuntimeError):
    """One of the processes did not start, or ended; the message says which."""


def run_dev(port: int, folder: Path, hosts: Sequence[str] = ()) -> None:
    """Run until interrupted or one process ends; all of them end with this one, however it ends.

    Args:
        folder: where the processes run: the project's.

    Raises:
        DevError: a process ended by itself.
    """
    with tempfile.TemporaryDirectory(prefix="parler-") as place, ExitStack() as stack:
        socket, workspace = Path(place, "code.sock"), Path(place, "workspace.yaml")
        workspace.write_text(_workspace(socket), encoding="utf-8")
        processes = {}
        for name, command in _commands(socket, workspace, port, hosts).items():
            processes[name] = stack.enter_context(_running(command, folder))
            if name == "code location":
                _wait_for(socket, processes[name])
        _follow(processes)


def _workspace(socket: Path) -> str:
    return f"load_from:\n  - grpc_server: {{socket: '{socket}', location_name: {LOCATION}}}\n"


def _commands(socket: Path, workspace: Path, port: int, hosts: Sequence[str]) -> dict[str, list[str]]:
    python = [sys.executable, "-P", "-m"]  # -P: nothing is imported from the current folder
    code = ["dagster", "code-server", "start", "--socket", str(socket), "-m", MODULE, "--location-name", LOCATION]
    page = ["parler_assets.web.dagster_page", "-w", str(workspace), "-p", str(port)]
    return {
        "code location": [*python, *code, "--use-python-environment-entry-point", "--log-level", "warning"],
        "daemon": [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace)],
        "page": [*python, *page, *(word for host in hosts for word in ("--allow-host", host))],
    }


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen]:
    """A process in our group, so that Ctrl-C reaches it and the runs it started; ended when this block is left."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "DAGSTER_IS_DEV_CLI": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=_exit_with_parent)
    try:
        yield process
    finally:
        _end(process)


def _exit_with_parent() -> None:
    """The kernel ends the process when its parent is killed, which `finally` does not see."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _wait_for(socket: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DevError("the code location did not start: its messages are above")
        time.sleep(POLL)


def _follow(processes: dict[str, subprocess.Popen]) -> None:
    """Until interrupted; SIGTERM counts as that."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            for name, process in processes.items():
                if process.poll() is not None:
                    raise DevError(f"the {name} ended with code {process.returncode}: its messages are above")
            time.sleep(POLL)
    except KeyboardInterrupt:
        return
