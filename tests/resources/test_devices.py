"""Two steps never share a card, whoever starts them, and a killed one leaves none taken."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from parler_assets.resources.accelerator import DeviceError, acquire, locks_folder


def three() -> int:
    return 3


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PARLER_LOCKS", str(tmp_path))


@pytest.mark.parametrize(
    ("wanted", "cards", "gpus", "given"),
    [
        ("auto", 1, 0, "cpu"),
        ("auto", 2, 0, "cpu"),
        ("auto", 0, 3, "cpu"),
        ("cpu", 1, 3, "cpu"),
        ("cpu", 2, 3, "cpu"),
        ("auto", 1, 1, "cuda:0"),
        ("cuda", 1, 3, "cuda:0"),
        ("cuda:1", 1, 3, "cuda:1"),
        ("auto", 2, 3, "cuda:0,1"),
        ("auto", None, 3, "cuda:0,1,2"),
        ("cuda:0,2", 2, 3, "cuda:0,2"),
        ("cuda:0,2", None, 3, "cuda:0,2"),
    ],
)
def test_as_many_cards_as_asked_for_are_taken(wanted: str, cards: int | None, gpus: int, given: str):
    with acquire(wanted, cards, count=lambda: gpus) as device:
        assert device == given


@pytest.mark.parametrize(
    ("wanted", "cards", "gpus", "message"),
    [
        ("cuda", 1, 0, "no CUDA device"),
        ("cuda:3", 1, 3, "cards 0 to 2"),
        ("cuda:1", 1, 1, "one card, cuda:0"),
        ("auto", 4, 3, "lower training.processes"),
        ("cuda:1", 2, 3, "2 GPUs are asked for, device cuda:1 has 1"),
        ("gpu", 1, 3, "choose auto, cpu, cuda"),
        ("cuda:first", 1, 3, "choose auto, cpu, cuda"),
    ],
)
def test_what_the_machine_does_not_have_is_refused_with_a_remedy(wanted, cards, gpus, message):
    with pytest.raises(DeviceError, match=message), acquire(wanted, cards, count=lambda: gpus):
        pass


def test_steps_at_once_get_cards_of_their_own():
    with ExitStack() as steps:
        devices = [steps.enter_context(acquire("auto", cards, count=three)) for cards in (2, 1)]
    assert devices == ["cuda:0,1", "cuda:2"]


def test_a_step_waits_for_a_free_card():
    with acquire("cuda:1", count=three), acquire("auto", 2, count=three) as others:
        assert others == "cuda:0,2"
        assert _try(seconds=2) is None
    assert _try(seconds=60) == "cuda:0"


def test_two_that_wait_for_two_cards_each_do_not_hold_one_each():
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    waiting = [context.Process(target=_report, args=(2, answers)) for _ in range(2)]
    with acquire("cuda:0,1", 2, count=three):
        for process in waiting:
            process.start()
    for process in waiting:
        process.join(60)
    assert [process.exitcode for process in waiting] == [0, 0]
    assert [answers.get().count(",") for _ in waiting] == [1, 1]


def test_who_waits_for_a_card_that_is_busy_keeps_nobody_from_another():
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    with acquire("cuda:0", count=three):
        waiting = context.Process(target=_report, args=(1, answers, "cuda:0"))
        waiting.start()
        with acquire("auto", 2, count=three) as device:
            assert device == "cuda:1,2"
    waiting.join(60)
    assert answers.get() == "cuda:0"


def test_cards_are_locked_by_the_name_that_all_processes_know(monkeypatch):
    """What is card 0 here may be card 1 there: CUDA_VISIBLE_DEVICES tells."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    with acquire("cuda:1", count=lambda: 2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with acquire("auto", count=lambda: 2) as device:
            assert device == "cuda:1"


def test_the_locks_are_the_same_in_whatever_folder_one_works(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("PARLER_LOCKS")
    before = locks_folder()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLER_DATA", "elsewhere")
    assert locks_folder() == before


def test_a_killed_step_gives_its_card_back():
    context = multiprocessing.get_context("spawn")
    ready, never = context.Event(), context.Event()
    step = context.Process(target=_hold, args=(ready, never))
    step.start()
    assert ready.wait(60)
    with acquire("auto", count=three) as beside:
        assert beside == "cuda:1"
    os.kill(step.pid, signal.SIGKILL)
    step.join()
    with acquire("auto", count=three) as after:
        assert after == "cuda:0"


def _hold(ready, never) -> None:
    with acquire("auto", count=three):
        ready.set()
        never.wait()


def _report(cards: int, answer, wanted: str = "auto") -> None:
    with acquire(wanted, cards, count=three) as device:
        answer.put(device)


def _try(seconds: float) -> str | None:
    """The card that another process gets within some seconds, or None."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    step = context.Process(target=_report, args=(1, answer))
    step.start()
    step.join(seconds)
    if step.is_alive():
        step.kill()
        step.join()
        return None
    return answer.get()
