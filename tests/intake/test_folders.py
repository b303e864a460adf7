"""Names that lead out of a folder, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parler_assets.intake.files import SOUND, read_bytes
from parler_assets.intake.folders import Folders
from parler_assets.intake.names import shown, text_problem, values_problem
from tests.support.bounded import refusal


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with good names, beside a secret."""
    folder = tmp_path / "clips"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "clips-2").mkdir()
    for place in ("clips/a.wav", "clips/sub/b.wav", "secret.wav", "clips-2/c.wav"):
        (tmp_path / place).write_bytes(b"RIFF")
    (folder / "good_link.wav").symlink_to("sub/b.wav")
    (folder / "out.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "nowhere.wav").symlink_to(tmp_path / "absent.wav")
    (folder / "up").symlink_to("..")
    (folder / "here").symlink_to("sub")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.wav")
    return folder


GOOD = {
    "plain": ("a.wav", "a.wav"),
    "below": ("sub/b.wav", "sub/b.wav"),
    "with a slash": ("a.wav/", "a.wav"),
    "there and back": ("sub/../a.wav", "a.wav"),
    "out and in again": ("../clips/a.wav", "a.wav"),
    "a link inside": ("good_link.wav", "sub/b.wav"),
    "a linked folder inside": ("here/b.wav", "sub/b.wav"),
}
HOSTILE = [
    "../secret.wav", "../absent.wav", "sub/../../secret.wav", "../clips-2/c.wav", "up/secret.wav", "up/absent.wav",
    "/etc/passwd", "/etc/no-such-file", "/dev/zero", "/dev/stdin", "/proc/self/mem", "out.wav", "nowhere.wav",
    "loop.wav", "zero.wav", "pipe.wav", "sub", ".", "..", "", "a.wav/x", "a.wav\0", "\ud800.wav", "x" * 5000,
    "../" * 1000 + "etc/passwd", "~root/.bashrc", "absent.wav",
]  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_names_that_stay_inside_are_found(case: str, clips: Path):
    name, place = GOOD[case]
    assert Folders(clips).find([name]).resolve() == clips / place
    assert Folders(clips / ".." / "clips").find([clips / name]).resolve() == clips / place


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:30])
def test_other_names_are_refused_in_one_wording(name: str, clips: Path):
    said = refusal(lambda: Folders(clips).find([name]))
    assert said == f"no regular file {shown(name)[:200]!r} in {clips}, and no other place is read"


def test_several_folders_and_several_names_are_tried(clips: Path):
    both = Folders(clips, clips.parent / "clips-2")
    assert both.find(["c", "c.wav"]) == clips.parent / "clips-2" / "c.wav"
    assert both.find([clips.parent / "clips-2" / "c.wav"]) == clips.parent / "clips-2" / "c.wav"
    assert both.find(["../clips-2/c.wav"])


@pytest.mark.parametrize("name", ["zero.wav", "pipe.wav", "sub", "/dev/full", "/proc/self/status", "x\0", "large"])
def test_only_regular_files_of_some_size_are_read(name: str, clips: Path):
    with (clips / "large").open("wb") as file:
        file.truncate(1 << 40)
    said = refusal(read_bytes, clips / name, SOUND)
    assert said.startswith(f"{clips / name}: ")


def test_a_missing_file_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "absent")


@pytest.mark.parametrize("text", ["a\0", "\ud800", "x\udfffy", "ä\udc80"])
def test_texts_that_cannot_be_stored_are_found_and_can_be_shown(text: str):
    assert text_problem(text)
    assert text_problem(shown(text)) is None
    assert values_problem({"a": [1, None, {text: "b"}]})
    assert shown(text).encode()


@pytest.mark.parametrize("text", ["", "a", "ä", "😀", "\u2028", "a\tb\n"])
def test_other_texts_are_good(text: str):
    assert text_problem(text) is None
    assert shown(text) == text
