"""How far long work is, as bars on a terminal and as lines in a pipe, from this process and from others."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parler_assets.progress.display import EVERY, Bars, Clock, Lines
from parler_assets.progress.message import Message, duration
from parler_assets.progress.tasks import CHANNEL, Task, follow
from tests.support.terminal import drawn, pair


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def message(done: int, task: str = "a", name: str = "studio/dac_codes", **details: float) -> Message:
    return Message(task, name, done, 40, "shard", details)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def lines(time: Time) -> tuple[Lines, io.StringIO]:
    stream = io.StringIO()
    return Lines(stream, Clock(time)), stream


def test_a_pipe_gets_one_line_in_ten_seconds_that_names_the_corpus_and_the_time_left(lines, time: Time):
    shown, stream = lines
    for second in range(25):
        time.seconds = float(second)
        shown.update(message(second))
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["studio/dac_codes", "10", "of", "40", "shards,", "30", "s", "left"],
        ["studio/dac_codes", "20", "of", "40", "shards,", "20", "s", "left"],
    ]
    assert "\r" not in stream.getvalue()


def test_time_passes_in_a_pipe_though_nothing_is_said(lines, time: Time):
    shown, stream = lines
    shown.update(message(4))
    for second in (EVERY, EVERY + 1, 2 * EVERY):
        time.seconds = second
        shown.tick()
    assert len(stream.getvalue().splitlines()) == 2


def test_what_is_over_soon_says_nothing_in_a_pipe(lines, time: Time):
    shown, stream = lines
    shown.update(message(1))
    shown.update(Message("a", "studio/dac_codes", 40, 40, "shard", ended=True))
    time.seconds = 60.0
    shown.tick()
    assert stream.getvalue() == ""


def test_two_tasks_have_a_clock_each(lines, time: Time):
    shown, stream = lines
    shown.update(message(0, task="a"))
    time.seconds = 8.0
    shown.update(message(0, task="b", name="field/dac_codes"))
    time.seconds = 12.0
    shown.tick()
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["studio/dac_codes"]


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({}, "10 of 40 shards, 30 s left"),
        (
            {"loss": 3.14159, "learning rate": 8e-5, "seconds_left": 200.0},
            "learning rate 8e-05, 3 min 20 s",
        ),
        ({"held-out loss": 4.0, "seconds_left": 7500.0}, "held-out loss 4, 2 h 5 min left"),
    ],
)
def test_details_are_shown_in_words_and_time_left_last(time: Time, details: dict, words: str):
    clock = Clock(time)
    clock.left(message(0))
    time.seconds = 10.0
    assert words in clock.words(message(10, **details))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (8.44, "8.4 s"), (59.4, "59 s"), (198, "3 min 18 s"), (7260, "2 h 1 min")]
)
def test_durations_read_as_people_say_them(seconds: float, words: str):
    assert duration(seconds) == words


def test_a_terminal_gets_a_bar_that_vanishes_and_lines_above_it(time: Time):
    ours, theirs = pair()
    with os.fdopen(theirs, "w") as stream:
        bars = Bars(stream, Clock(time))
        bars.update(message(10, **{"loss": 3.25, "seconds_left": 65.0}))
        bars.say("a line")
        bars.update(Message("a", "studio/dac_codes", 40, 40, "shard", ended=True))
        bars.close()
        states = drawn(os.read(ours, 65536).decode())
    os.close(ours)
    assert any("studio/dac_codes" in s and "25% |█████ " in s and "loss 3.25, 1 min 5 s left" in s for s in states)
    assert "a line" in states


def test_other_processes_are_heard_through_a_file(tmp_path: Path):
    channel = tmp_path / "progress"
    script = "from parler_assets.progress import follow; [None for _ in follow(range(3), 'studio/tags', 3, 'shard')]"
    others = [
        subprocess.Popen([sys.executable, "-c", script], env=os.environ | {CHANNEL: str(channel)}) for _ in range(2)
    ]
    assert [other.wait() for other in others] == [0, 0]
    read = [Message.read(line) for line in channel.read_text().splitlines()]
    assert len({found.task for found in read if found}) == 2
    assert {(found.name, found.total) for found in read if found} == {("studio/tags", 3)}
    assert [found.ended for found in read if found].count(True) == 2


@pytest.mark.parametrize("line", ["", "{", '{"task": 1}', "[]", '{"done": 1, "unknown": 2}', "null"])
def test_a_line_that_a_kill_cut_short_is_passed_over(line: str):
    assert Message.read(line) is None


def test_following_gives_every_item_and_ends_the_task_also_where_it_fails(tmp_path: Path, monkeypatch):
    monkeypatch.setenv(CHANNEL, str(tmp_path / "progress"))
    assert list(follow("abc", "x", 3, "letter")) == ["a", "b", "c"]
    with pytest.raises(ZeroDivisionError), Task("y", 3, "letter") as task:
        task.at(1 // 0)
    messages = [Message.read(line) for line in (tmp_path / "progress").read_text().splitlines()]
    assert [found.name for found in messages if found and found.ended] == ["x", "y"]
