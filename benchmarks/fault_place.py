"""A finished workspace that faults are put to, and an ordinary command in a process that has everything imported.

Every fault is put to a copy at one and the same place, so that paths mean the same. A command is forked from here: it
costs seconds. `Place.run` is what a user types; it ends at a limit, after which it counts as hanging.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/support makes the smallest recipe

from tests.support.stored_files import contents, stamps

CODE = Path(__file__).parents[1]
LIMIT = 600  # seconds, after which a command hangs; ten undisturbed ones, since machines are shared
DATA, HOME = "data", "dagster_home"


def code_digest() -> str:
    """Of all code that makes and compares results: what was made with other code is no measure."""
    files = sorted([*(CODE / "parler_assets").rglob("*.py"), *(CODE / "tests" / "support").glob("*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@dataclass(frozen=True)
class Ran:
    """A command that ended: exit status (None: it hung), what it printed, and how long it took."""

    code: int | None
    output: str
    seconds: float


class Place:
    """The recipe `tiny` in `root/place`, and its finished copy in `root/finished`."""

    def __init__(self, root: Path) -> None:
        from tests.support.tiny import write_tiny_recipe

        self.root, self.here, self.finished = root, root / "place", root / "finished"
        if not (root / "empty").exists():
            self.here.mkdir(parents=True)
            write_tiny_recipe(self.here)
            (self.here / HOME).mkdir()
            self._copy(self.here, root / "empty")
        os.environ |= {"PARLER_RECIPE": str(self.recipe), "PARLER_DATA": str(self.here / DATA)}
        os.environ |= {"DAGSTER_HOME": str(self.here / HOME), "TOKENIZERS_PARALLELISM": "false"}
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        _import()

    @property
    def recipe(self) -> Path:
        return self.here / "tiny.yaml"

    @property
    def data(self) -> Path:
        return self.here / DATA

    def prepare(self) -> dict[str, str]:
        """Make the finished workspace, twice: what both agree in is what every other run has to come to.

        Raises:
            RuntimeError: the undisturbed run fails, or two of them disagree.
        """
        found = []
        for _ in range(2):
            self.reset("empty")
            ran = self.run("run")
            if ran.code:
                raise RuntimeError(f"the undisturbed run failed:\n{ran.output}")
            found.append(contents(self.data))
            _import_as_seen(self.root / "modules.txt")
        odd = [name for name in found[0].keys() | found[1].keys() if found[0].get(name) != found[1].get(name)]
        if odd:
            raise RuntimeError(f"two undisturbed runs disagree in {', '.join(sorted(odd))}")
        self._copy(self.here, self.finished)
        return found[0]

    def reset(self, state: str = "finished") -> None:
        """Put a state in place: `finished`, `empty`, or one that `keep` kept."""
        shutil.rmtree(self.here)
        self._copy(self.root / state, self.here)

    def keep(self, state: str) -> None:
        """Keep what is in place as a state, for `reset`."""
        self._copy(self.here, self.root / state)

    def stamps(self) -> dict[str, tuple[int, int]]:
        return stamps(self.here)

    def contents(self) -> dict[str, str]:
        return contents(self.data)

    def run(self, *command: str, limit: float = LIMIT, kill: Callable[[int], None] | None = None) -> Ran:
        """A command of parler-assets in a process group of its own.

        `kill` is called with its number once it runs, to do something to it meanwhile.
        """
        output, began = self.root / "output.txt", time.monotonic()
        child = os.fork()
        if child == 0:
            _command(command, output, self.here, self.root / "modules.txt")
        if kill:
            kill(child)
        code = _ended(child, limit)
        return Ran(code, output.read_text(errors="replace"), time.monotonic() - began)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _import() -> None:
    """What every command needs, before the first fork; torch with one thread, since threads do not survive a fork."""
    import torch
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    import parler_assets.cli.app
    import parler_assets.definitions  # noqa: F401

    torch.set_num_threads(1)

    @event.listens_for(Engine, "connect")
    def _do_not_wait(connection, _record) -> None:  # a kill loses nothing by this, a power cut is not tried
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")


def _import_as_seen(list_of_modules: Path) -> None:
    """Import what a run had imported when it ended."""
    for name in list_of_modules.read_text().split():
        if name.split(".")[0] in ("parler_assets", "mlflow", "transformers", "scipy", "sklearn", "parselmouth"):
            try:
                importlib.import_module(name)
            except Exception:  # an optional part: the run met it by another way
                continue


def _command(command: Sequence[str], output: Path, folder: Path, modules: Path) -> None:
    """Become the command; never returns."""
    code: int | str | None = 1
    try:
        os.setsid()
        os.chdir(folder)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        import parler_assets.definitions
        from parler_assets.cli.app import main

        importlib.reload(parler_assets.definitions)  # made of the environment that this command has
        sys.argv = ["parler-assets", *command]
        try:
            main()
        except SystemExit as error:
            code = error.code if error.code is not None else 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        modules.write_text("\n".join(sorted(sys.modules)))
    finally:
        os._exit(code if isinstance(code, int) else 1)


def _ended(child: int, limit: float) -> int | None:
    """Exit status, negative for a signal; None where it had to be killed at the limit."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
