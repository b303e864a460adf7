"""Faults of disks and places: full and read-only ones (real ones, where root may mount), MLflow's and Dagster's own
files, a moved or copied workspace, odd paths, a clock that is set back.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

from fault_place import DATA, HOME, Place
from fault_verdict import Case

FULL, PLACES, STORES = "disk full or read-only", "environment, moved workspace", "MLflow's and Dagster's stores"
YEAR = 3e7  # seconds
Around = Callable[[Place], AbstractContextManager]


def cases(place: Place, seed: int) -> Iterator[Case]:
    """Disks of growing sizes, so that each stage in turn is the one that fills them."""
    chosen = random.Random(seed)
    if os.geteuid() == 0:
        yield from _disks(chosen)
    lost = [f"{DATA}/tiny/mlflow.db"]
    for share in (0.1, 0.4, 0.7):
        kill = partial(_kill_at, place, share)
        yield Case(STORES, f"kill while MLflow's database is made ({share})", _without_mlflow, lost, kill=kill)
    yield Case(STORES, "MLflow's database deleted", _without_mlflow, lost)
    for name in ("moved", "a b", "50%20off", "what?", "c#d", "ü—日本"):
        yield Case(PLACES, f"data folder renamed to {name!r}", around=partial(_elsewhere, name))
        yield Case(
            PLACES, f"data folder copied to {name!r}, the old one spoilt", around=partial(_elsewhere, name, copied=True)
        )
    for after in (200, 2000):
        yield Case(
            PLACES, f"clock set back a year after {after} looks", state="empty", around=partial(_set_back, after)
        )


def _disks(chosen: random.Random) -> Iterator[Case]:
    for number in range(8):
        size = int(64 * 2 ** chosen.uniform(number, number + 1))
        yield Case(FULL, f"data on a disk of {size} kB ({number})", state="empty", mend=_nothing, repeats=True,
                   around=partial(_disk, DATA, f"size={size}k"))  # fmt: skip
    for size in (40, 400, 900):
        yield Case(FULL, f"DAGSTER_HOME on a disk of {size} kB", state="empty", mend=_nothing, repeats=True,
                   around=partial(_disk, HOME, f"size={size}k"))  # fmt: skip
    yield Case(FULL, "a full disk under a finished workspace", mend=_nothing, around=partial(_disk, DATA, None))
    for seen in ("raw_dataset", "dac_codes", "training_set", "checkpoints", "evaluation_samples"):
        yield Case(FULL, f"data read-only once there is {seen}", state="empty", mend=_nothing, repeats=True,
                   around=partial(_disk, DATA, "size=60m", seen=seen))  # fmt: skip


def _nothing(place: Place) -> None:
    """The cause goes with the disk: what it held lies on the usual one then."""


@contextmanager
def _disk(name: str, options: str | None, place: Place, seen: str = "") -> Iterator[None]:
    """Have a folder of the place on a disk of its own; read-only as soon as a folder `seen` is in it.

    Without options the disk is as large as what is on it.
    """
    folder, aside = place.here / name, place.here / f"{name}.aside"
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.mkdir()
    _call("mount", "-t", "tmpfs", "-o", options or "size=100m", "tmpfs", folder)
    over = threading.Event()
    try:
        _call("cp", "-a", f"{aside}/.", folder)
        if options is None:
            _fill(folder / "rest")
        watch = threading.Thread(target=_read_only_once, args=(folder, seen, over), daemon=True)
        watch.start()
        yield
        over.set()
        watch.join()
        (folder / "rest").unlink(missing_ok=True)
        shutil.rmtree(aside)
        _call("cp", "-a", folder, aside)
    finally:
        over.set()
        _call("umount", "--lazy", folder)
        folder.rmdir()
        aside.rename(folder)


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb") as rest:
        while True:
            rest.write(bytes(4096))
            rest.flush()


def _read_only_once(folder: Path, seen: str, over: threading.Event) -> None:
    while seen and not over.wait(0.02):
        if next(folder.rglob(seen), None):
            while subprocess.run(
                ["mount", "-o", "remount,ro", str(folder)], capture_output=True, check=False
            ).returncode:
                time.sleep(0.01)  # busy: a file is being written at this moment
                if over.is_set():
                    return
            over.wait()
            _call("mount", "-o", "remount,rw", folder)


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def _without_mlflow(place: Place) -> None:
    (place.data / "tiny" / "mlflow.db").unlink()


def _kill_at(place: Place, share: float, child: int) -> None:
    """Kill a command once MLflow has made so much of its tables."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for file in (place.data / "tiny").glob(".mlflow.db.new-*"):
            with suppress(OSError):
                if file.stat().st_size > share * 800_000:
                    os.kill(child, 9)
                    return
        time.sleep(0.005)
    os.kill(child, 9)


@contextmanager
def _elsewhere(name: str, place: Place, copied: bool = False) -> Iterator[None]:
    """The data folder under another name while a command runs; of a copied one the old place is spoilt."""
    there = place.here / name
    if copied:
        _call("cp", "-a", place.data, there)
        for file in place.data.rglob("*.safetensors"):
            file.write_bytes(b"of the old place")
    else:
        place.data.rename(there)
    os.environ["PARLER_DATA"] = str(there)
    before = sorted(path for path in place.data.rglob("*")) if copied else []
    try:
        yield
        if copied and sorted(place.data.rglob("*")) != before:
            raise RuntimeError("something was written to the old place")
        if not copied and place.data.exists():
            raise RuntimeError("the old place is there again")
    finally:
        os.environ["PARLER_DATA"] = str(place.data)
        shutil.rmtree(place.data, ignore_errors=True)
        there.rename(place.data)


@contextmanager
def _set_back(after: int, _place: Place) -> Iterator[None]:
    """A clock that goes back a year in the middle, for the command and what is forked from it."""
    real, looks = time.time, 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return real() - (YEAR if looks > after else 0)

    time.time = look
    try:
        yield
    finally:
        time.time = real
