"""From a source to raw shards: what is kept, what is set aside and why, and what a killed run loses."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import soundfile

from parler_assets import storage
from parler_assets.recipe import Corpus, FolderSource, Shards
from parler_assets.speech import audits
from parler_assets.speech.audio import decode, encode
from parler_assets.speech.clips import SCHEMA, store_clips
from parler_assets.speech.sources import RawClip


def tone(seconds: float = 0.5, rate: int = 16000, height: float = 0.1) -> np.ndarray:
    return (height * np.sin(np.arange(int(seconds * rate)) * 0.1)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = 16000, format: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


@dataclass
class Listed:
    """A source made of a list."""

    clips: list[RawClip]
    fingerprint: str = "listed"
    commits: dict[str, str] = field(default_factory=dict)

    def ids(self) -> list[str]:
        return [clip.id for clip in self.clips]

    def read(self, start: int, stop: int) -> Iterator[RawClip]:
        yield from self.clips[start:stop]


def store(folder, clips: list[RawClip], rows: int = 4, rebuild: bool = False, texts: bool = True, **settings):
    corpus = Corpus(source=FolderSource(kind="folder", path=folder), **settings)
    return store_clips(Listed(clips), corpus, folder / "raw", Shards(rows=rows), texts=texts, rebuild=rebuild)


def clip(name: str = "a", audio: bytes | None = None, text: str = "hello", **more) -> RawClip:
    return RawClip(name, wav(tone()) if audio is None else audio, text, **more)


def test_rows_hold_what_was_published(tmp_path):
    audio = wav(tone(rate=22050, seconds=2), 22050, "FLAC")
    result = store(
        tmp_path,
        [clip("x", audio, "Hi *you*", speaker="ex01", style="sad", gender="male", accent="Scottish", age="30")],
    )
    table = storage.read(result.folder)
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == [
        {
            "id": "x",
            "audio": audio,
            "text": "Hi *you*",
            "written": "Hi *you*",
            "speaker": "ex01",
            "style": "sad",
            "gender": "male",
            "accent": "Scottish",
            "age": "30",
            "duration": 2.0,
            "sampling_rate": 22050,
        }
    ]


BAD = {
    "two samples": (clip("a", wav(tone()[:2])), "too short: 0 ms"),
    "10 ms": (clip("a", wav(tone(0.01))), "too short: 10 ms"),
    "no samples": (clip("a", wav(tone()[:0])), "audio has no samples"),
    "silence": (clip("a", wav(np.zeros(16000, np.float32))), "silent"),
    "an offset": (clip("a", wav(np.full(16000, 0.3, np.float32))), "silent"),
    "NaN": (
        clip("a", wav(np.full(16000, np.nan, np.float32), subtype="FLOAT")),
        "audio has samples that are not finite",
    ),
    "not audio": (clip("a", b"%PDF-1.7 something"), "audio cannot be decoded"),
    "nothing": (clip("a", b""), "audio cannot be decoded"),
    "half a FLAC": (clip("a", wav(tone(2), format="FLAC")[:60]), "audio cannot be decoded"),
    "no transcript": (clip("a", text=" \n"), "no transcript"),
    "missing file": (clip("a", b"", problem="file cannot be read: a.wav"), "file cannot be read: a.wav"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_is_set_aside_with_its_reason(tmp_path, name):
    bad, reason = BAD[name]
    result = store(tmp_path, [bad, clip("good")])
    assert storage.read(result.folder)["id"].to_pylist() == ["good"]
    (row,) = result.manifest.set_aside
    assert (row.id, row.stage) == ("a", "raw_dataset")
    assert reason in row.reason


GOOD = {
    "8 kHz": wav(tone(rate=8000), 8000),
    "192 kHz": wav(tone(rate=192000), 192000),
    "stereo": wav(np.stack([tone(), tone()], axis=1)),
    "clipped": wav(np.clip(tone(height=5), -1, 1)),
    "ogg": wav(tone(), format="OGG"),
    "mp3": wav(tone(), format="MP3"),
    "24 bit": wav(tone(), subtype="PCM_24"),
    "FLAC named WAV": wav(tone(), format="FLAC"),
    "ten minutes": encode(tone(600, 8000), 8000),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_sound_files_are_kept_as_they_are(tmp_path, name):
    result = store(tmp_path, [clip("a", GOOD[name])])
    assert storage.read(result.folder)["audio"].to_pylist() == [GOOD[name]]


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_recording_of_many_minutes_among_clips_is_set_aside(tmp_path, format):
    """It grew to 12 GB in a later stage, and took the run with it."""
    clips = [clip("short"), clip("long", wav(tone(125, 8000), 8000, format)), clip("other")]
    corpus = Corpus(source=FolderSource(kind="folder", path=tmp_path))
    result = store_clips(Listed(clips), corpus, tmp_path / "raw", Shards(), longest=60)
    assert storage.read(result.folder)["id"].to_pylist() == ["short", "other"]
    (aside,) = result.manifest.set_aside
    assert aside.reason == "too long: 125 s, at most 60 s are trained on: cut it into clips of 2 to 15 s"
    assert not store_clips(Listed(clips), corpus, tmp_path / "raw", Shards()).manifest.set_aside, "annotate keeps it"


SPOKEN = {
    "Grüß Gott": "Grüß Gott",
    "日本語": "日本語",
    "*x* <laugh>": "*x* <laugh>",
    "42": "forty-two",
    "1984": "nineteen eighty-four",
    "Dr. Smith, $5 at 10:30pm": "Doctor Smith, five dollars at ten thirty PM",
    "I ❤️ NY 😀": "I NY",
}


@pytest.mark.parametrize("text", SPOKEN)
def test_the_spoken_form_is_trained_on_and_the_original_stays_beside_it(tmp_path, text):
    (row,) = storage.read(store(tmp_path, [clip(text=text)]).folder).to_pylist()
    assert (row["text"], row["written"]) == (SPOKEN[text], text)


@pytest.mark.parametrize("text", [*SPOKEN, "😀", "..."])
def test_a_corpus_may_keep_texts_as_they_are(tmp_path, text):
    (row,) = storage.read(store(tmp_path, [clip(text=text)], spoken_form=False).folder).to_pylist()
    assert (row["text"], row["written"]) == (text, text)


@pytest.mark.parametrize("text", ["😀", "...", "— ?"])
def test_a_text_with_nothing_to_say_is_set_aside(tmp_path, text):
    (row,) = store(tmp_path, [clip(text=text)]).manifest.set_aside
    assert row.reason == "no transcript: nothing of the text is said, it has neither letter nor digit"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", "um zehn Uhr dreißig"),
        ("fr", "um dix heures trente"),
        ("pt-BR", "um dez trinta"),
        ("EN", "um ten thirty"),
    ],
)
def test_numbers_are_said_in_the_language_of_the_corpus(tmp_path, language, said):
    result = store(tmp_path, [clip(text="um 10:30")], language=language)
    assert storage.read(result.folder)["text"].to_pylist() == [said]


@pytest.mark.parametrize(
    ("good", "bad", "limit", "too_many"),
    [(10, 1, 0.02, False), (10, 1, 0.0, True), (10, 2, 0.02, True), (10, 2, 0.2, False), (0, 1, 0.02, True)],
)
def test_one_bad_clip_stops_no_corpus_however_small(tmp_path, good, bad, limit, too_many):
    clips = [clip(f"good{number}") for number in range(good)] + [clip(f"bad{number}", b"") for number in range(bad)]
    problems = audits.few_set_aside(store(tmp_path, clips).folder, limit)
    assert bool(problems) == too_many
    assert all(f"{bad} of {good + bad} clips" in problem for problem in problems)


def test_the_first_of_two_equal_ids_is_kept_across_shards(tmp_path):
    clips = [clip(name, text=f"{name} {'zyxwvu'[index]}") for index, name in enumerate(["a", "b", "a", "c", "b", "d"])]
    result = store(tmp_path, clips, rows=2)
    assert storage.read(result.folder)["text"].to_pylist() == ["a z", "b y", "c w", "d u"]
    assert [row.reason for row in result.manifest.set_aside] == [
        "id occurs twice: rows 0 and 2; the first is kept",
        "id occurs twice: rows 1 and 4; the first is kept",
    ]


def test_names_genders_and_styles_of_the_recipe(tmp_path):
    clips = [clip("a", speaker="ex01", style="sad"), clip("b", speaker="ex02", style="odd"), clip("c", style="sad")]
    result = store(
        tmp_path, clips, speaker_names={"ex01": "Jerry", "": "Ann"}, genders={"Jerry": "male"}, styles=["sad"]
    )
    rows = storage.read(result.folder).to_pylist()
    assert [(row["id"], row["speaker"], row["gender"]) for row in rows] == [("a", "Jerry", "male"), ("c", "Ann", None)]
    assert not result.manifest.set_aside, "a style that is not wanted is no fault"


def test_clips_without_transcripts_can_be_wanted(tmp_path):
    assert store(tmp_path, [clip(text="")], texts=False).manifest.rows == 1


def test_a_second_run_reads_nothing_and_changes_rebuild(tmp_path):
    clips = [clip("a"), clip("b")]
    first = store(tmp_path, clips)
    again = store(tmp_path, [])  # the same fingerprint: the source is not even listed
    assert (again.reused, again.digest) == (True, first.digest)
    assert store(tmp_path, clips, rebuild=True).digest == first.digest
    assert not store(tmp_path, clips, styles=["sad"]).reused


def test_no_clips_at_all(tmp_path):
    assert store(tmp_path, []).manifest.rows == 0


PROGRAM = """
import sys, time
from pathlib import Path
from parler_assets.recipe import Annotation, Corpus, FolderSource, Shards
from parler_assets.speech.annotation.stage import tag_corpus
from parler_assets.speech.clips import build_raw_dataset
folder = Path(sys.argv[1])
corpus = Corpus(source=FolderSource(kind="folder", path=folder))
raw = build_raw_dataset(corpus, folder / "raw", Shards(rows=2), folder / "cache")
print("raw", flush=True)
print(tag_corpus(raw.folder, folder / "tags", Annotation()).digest, raw.digest, flush=True)
"""


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path):
    """SIGKILL while storing and while tagging; shards that were finished stay, and the result is bit-identical."""
    for name in ("once", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        for index in range(16):
            soundfile.write(folder / f"{index:02d}.wav", tone(1.5) * (1 + index), 16000)
        rows = "".join(f"{index:02d}.wav,hello there\n" for index in range(16))
        (folder / "metadata.csv").write_text("file_name,text\n" + rows)
    command = [sys.executable, "-c", PROGRAM]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    expected = subprocess.run(
        [*command, tmp_path / "once"], env=environment, capture_output=True, text=True, check=True
    )
    for shards_before in (2, 10):  # of eight each
        process = subprocess.Popen([*command, tmp_path / "killed"], env=environment, stdout=subprocess.DEVNULL)
        _wait_for_shards(tmp_path / "killed", shards_before, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list((tmp_path / "killed").glob("*/part-*.parquet"))) >= shards_before
    done = subprocess.run([*command, tmp_path / "killed"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == expected.stdout.splitlines()[1]


def _wait_for_shards(folder, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(folder.glob("*/part-*.parquet"))) >= count:
            return
        time.sleep(0.005)


def test_a_wav_that_ends_too_early_is_set_aside_and_one_from_a_pipe_is_not(tmp_path):
    """libsndfile would take the first for a shorter recording, and its transcript for fast speech."""
    whole = wav(tone(1.0))
    result = store(tmp_path, [clip("cut", whole[: len(whole) // 2]), clip("whole", whole)])
    assert [(row.id, row.reason) for row in result.manifest.set_aside] == [
        ("cut", "audio is truncated: 15978 of 32000 bytes of samples are there")
    ]
    at = whole.index(b"data") + 4
    piped = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
    assert decode(piped).seconds == pytest.approx(1.0)


def test_a_shard_of_large_files_is_in_memory_a_group_at_a_time(tmp_path, monkeypatch):
    """Its row groups are what is held, while it is written and while it is read."""
    monkeypatch.setattr("parler_assets.speech.clips.GROUP", 40_000)
    lengths = {"a": 1.0, "b": 1.0, "x": 0.0, "c": 0.3, "d": 0.3, "e": 2.0}
    raw = store(tmp_path, [clip(name, wav(tone(seconds)), name) for name, seconds in lengths.items()], rows=6)
    [shard] = raw.manifest.shards
    groups = [table["id"].to_pylist() for table in storage.read_groups(raw.folder, shard, ["id"])]
    assert groups == [["a"], ["b"], ["c", "d"], ["e"]]
    assert [row.id for row in raw.manifest.set_aside] == ["x"]
    assert storage.read(raw.folder)["text"].to_pylist() == [*"abcde"]


def test_a_shard_without_a_usable_clip_has_columns(tmp_path):
    raw = store(tmp_path, [clip("x", b"")])
    [table] = storage.read_groups(raw.folder, raw.manifest.shards[0], ["id", "audio"])
    assert (table.num_rows, table.column_names) == (0, ["id", "audio"])
