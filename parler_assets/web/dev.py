"""Dagster on this machine, in three processes: the code location, the daemon, and the page behind our guard.

`dagster dev` starts the same three but for the guard. The code location answers on a socket in a folder that only this
user can open, and is named by its module: no `workspace.yaml` and no `.env` of the current folder is read, and nothing
is imported from it.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

MODULE, LOCATION = "parler_assets.definitions", "parler_assets"
START_SECONDS, STOP_SECONDS, POLL = 180.0, 20.0, 0.3
_PYTHON = [sys.executable, "-P", "-m"]
_PR_SET_PDEATHSIG = 1


class DevError(RuntimeError):
    """One of the processes did not start, or ended; the message says which."""


def run_dev(port: int, folder: Path, environment: Mapping[str, str], hosts: Sequence[str] = ()) -> None:
    """Run until interrupted or one process ends; all of them end with this one, however it ends.

    Args:
        folder: where the code location and its runs work.
        environment: of all processes.

    Raises:
        DevError: a process ended by itself.
    """
    environment = {**environment, "PYTHONSAFEPATH": "1", "DAGSTER_IS_DEV_CLI": "1"}
    with tempfile.TemporaryDirectory(prefix="parler-") as place, ExitStack() as stack:
        socket, workspace = Path(place, "code.sock"), Path(place, "workspace.yaml")
        workspace.write_text(_workspace(socket), encoding="utf-8")
        code = stack.enter_context(_running(_code_location(socket), folder, environment))
        _wait_for(socket, code)
        processes = {"code location": code}
        for name, command in {"daemon": _daemon(workspace), "page": _page(workspace, port, hosts)}.items():
            # in a folder without .env: Dagster's daemon would let one overrule the environment
            processes[name] = stack.enter_context(_running(command, Path(place), environment))
        _follow(processes)


def _workspace(socket: Path) -> str:
    return f"load_from:\n  - grpc_server: {{socket: '{socket}', location_name: {LOCATION}}}\n"


def _code_location(socket: Path) -> list[str]:
    module = ["-m", MODULE, "--location-name", LOCATION, "--use-python-environment-entry-point"]
    return [*_PYTHON, "dagster", "code-server", "start", "--socket", str(socket), *module, "--log-level", "warning"]


def _daemon(workspace: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace)]


def _page(workspace: Path, port: int, hosts: Sequence[str]) -> list[str]:
    allowed = [word for host in hosts for word in ("--allow-host", host)]
    return [*_PYTHON, "parler_assets.web.dagster_page", "-w", str(workspace), "-p", str(port), *allowed]


@contextmanager
def _running(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen]:
    """A process in our group, so that Ctrl-C reaches it and the runs it started; ended when this block is left."""
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
