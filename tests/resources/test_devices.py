"""Two steps never share a device, and a killed one leaves none taken."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from parler_assets.resources.accelerator import taken


@pytest.mark.parametrize(("wanted", "gpus", "given"), [("auto", 0, "cpu"), ("cuda:1", 4, "cuda:1"), ("cpu", 4, "cpu")])
def test_a_named_device_is_taken_as_it_is(tmp_path: Path, wanted: str, gpus: int, given: str):
    with taken(wanted, tmp_path, count=lambda: gpus) as device:
        assert device == given


def test_steps_at_once_get_devices_of_their_own(tmp_path: Path):
    with ExitStack() as steps:
        devices = [steps.enter_context(taken("auto", tmp_path, count=lambda: 3)) for _ in range(3)]
    assert devices == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_step_over_all_devices_holds_every_one(tmp_path: Path):
    with taken("auto", tmp_path, several=True, count=lambda: 2) as device:
        assert device == "cuda"
        assert _try(tmp_path, seconds=2) is None
    assert _try(tmp_path, seconds=60) == "cuda:0"


def test_a_killed_step_gives_its_device_back(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    ready, never = context.Event(), context.Event()
    step = context.Process(target=_hold, args=(tmp_path, ready, never))
    step.start()
    assert ready.wait(60)
    with taken("auto", tmp_path, count=lambda: 2) as beside:
        assert beside == "cuda:1"
    os.kill(step.pid, signal.SIGKILL)
    step.join()
    with taken("auto", tmp_path, count=lambda: 2) as after:
        assert after == "cuda:0"


def two() -> int:
    return 2


def _hold(locks: Path, ready, never) -> None:
    with taken("auto", locks, count=two):
        ready.set()
        never.wait()


def _report(locks: Path, answer) -> None:
    with taken("auto", locks, count=two) as device:
        answer.put(device)


def _try(locks: Path, seconds: float) -> str | None:
    """The device that another process gets within some seconds, or None."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    step = context.Process(target=_report, args=(locks, answer))
    step.start()
    step.join(seconds)
    if step.is_alive():
        step.kill()
        step.join()
        return None
    return answer.get()
