"""Tables whose rows moved are found before anything is trained on them, by an ASR and by lengths alone."""

from __future__ import annotations

import random
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from parler_assets import storage
from parler_assets.checks.corpus import corpus_checks
from parler_assets.recipe import Corpus, Evaluation, load_recipe
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.workspace import Workspace, workspace_of
from parler_assets.sample.espeak import RATE, Request, speak
from parler_assets.speech.audio import encode
from parler_assets.speech.audits import texts_fit_durations
from parler_assets.storage import Part
from parler_assets.tts.scoring import transcripts
from parler_assets.tts.scoring.transcripts import misplaced, unheard
from tests.support.tiny_whisper import write_tiny_whisper

TEXTS = [
    "Call me again in the morning.",
    "The boat is late.",
    "She nodded and her eyes grew soft and moist when she heard the old song.",
    "Nobody had seen the garden before the summer.",
    "Yes, of course.",
    "He brought a hatchet and a club from the house near the river.",
    "They walked for hours.",
    "It is a palace with many servants and very few visitors.",
    "Open the window, please, and let the bird go free.",
    "My brother works at the station.",
    "Winter came early.",
    "The teacher asked the children whether they knew the name of the bridge.",
    "I had forgotten about it.",
    "Every house in this street has a green door and a small yard.",
    "Good night.",
    "The farmer sold his black horse at the market last week.",
    "We waited until the rain was over.",
    "A young woman sings in the kitchen while her father sleeps.",
]
SETTINGS = Evaluation(speakers=["Ann"], styles=["default"])
MOVED = {
    "by one": lambda rows: rows[1:] + rows[:1],
    "by two the other way": lambda rows: rows[-2:] + rows[:-2],
    "by more than is looked around": lambda rows: rows[7:] + rows[:7],
    "from the middle on": lambda rows: [*rows[:9], *rows[10:], rows[9]],
    "sorted": lambda rows: sorted(rows, key=TEXTS.__getitem__),
    "reversed": lambda rows: rows[::-1],
    "shuffled": lambda rows: random.Random(5).sample(rows, len(rows)),
}


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    return speak([Request(text, "en-us+f3", words_per_minute=150 + 5 * n) for n, text in enumerate(TEXTS)])


def corpus(folder: Path, spoken: list[np.ndarray], texts: list[str], rows: int = 6) -> Path:
    """A finished raw data set of these clips, in shards of `rows`."""
    clips = [
        {"id": f"clip-{n:02}", "text": text, "duration": len(sound) / RATE, "audio": encode(sound, RATE)}
        for n, (sound, text) in enumerate(zip(spoken, texts, strict=True))
    ]
    parts = [clips[start : start + rows] for start in range(0, len(clips), rows)]
    return storage.build(folder, "made", len(parts), lambda n: Part(pa.Table.from_pylist(parts[n]))).folder


def problems(raw: Path, settings: Evaluation = SETTINGS, clips: int = 24, language: str = "en") -> list[str]:
    return misplaced(raw, raw.with_name("heard"), settings, clips, language, "cpu")


@pytest.mark.parametrize("clips", [9, 24])
def test_clips_that_say_their_texts_are_passed(spoken, tmp_path: Path, clips: int):
    raw = corpus(tmp_path / "raw", spoken, TEXTS)
    assert problems(raw, clips=clips) == []
    assert unheard(raw, SETTINGS, clips, "en") == []


@pytest.mark.parametrize("moved", MOVED)
def test_a_table_whose_rows_moved_is_refused(spoken, tmp_path: Path, moved: str):
    order = MOVED[moved](list(range(len(TEXTS))))
    (problem,) = problems(corpus(tmp_path / "raw", spoken, [TEXTS[n] for n in order]))
    assert "do not say their text" in problem
    assert "transcripts_heard: 0" in problem


def test_a_message_names_a_clip_what_it_says_and_by_how_many_rows(spoken, tmp_path: Path):
    (problem,) = problems(corpus(tmp_path / "raw", spoken, TEXTS[1:] + TEXTS[:1]))
    assert "17 of them that of the row -1: 'clip-01' is heard as 'the boat is late', as the row 1 above says" in problem
    assert repr(TEXTS[2]) in problem


def test_a_few_wrong_texts_are_no_moved_table(spoken, tmp_path: Path):
    texts = [*TEXTS[:16], "Something else is written here.", "And here as well."]
    assert problems(corpus(tmp_path / "raw", spoken, texts)) == []


def test_what_was_heard_is_kept(spoken, tmp_path: Path, monkeypatch):
    raw = corpus(tmp_path / "raw", spoken, TEXTS)
    problems(raw)
    monkeypatch.setattr(transcripts, "GrammarAsr", None)
    assert problems(raw) == []


def test_as_few_shards_are_read_as_give_the_clips(spoken, tmp_path: Path):
    raw = corpus(tmp_path / "raw", spoken, TEXTS, rows=2)
    assert problems(raw, clips=8) == []
    assert len(storage.read_manifest(tmp_path / "heard").shards) == 2


def test_an_open_asr_hears_what_has_no_grammar(spoken, tmp_path: Path):
    whisper = write_tiny_whisper(tmp_path / "whisper", "The boat is late.")
    asked = SETTINGS.model_copy(update={"recogniser": str(whisper)})
    texts = ["Zrxq boats are late."] * len(TEXTS)
    assert unheard(corpus(tmp_path / "raw", spoken, texts), asked, 24, "en") == []
    (problem,) = problems(corpus(tmp_path / "other", spoken, texts), asked)
    assert "heard as 'The boat is late.'" in problem
    assert problems(corpus(tmp_path / "late", spoken, ["The boat is late."] * len(TEXTS)), asked) == []


@pytest.mark.parametrize(
    ("texts", "language", "reason"),
    [
        (["Das Boot kommt heute sehr spät."] * 18, "de", "knows English alone"),
        ([f"Zrxq{n} brillig toves." for n in range(18)], "en", "has all words of 0 of 18 texts"),
        ([*TEXTS[:7], *[f"Slithy gimble{n}." for n in range(11)]], "en", "has all words of 7 of 18 texts"),
    ],
)
def test_words_that_nobody_here_knows_are_a_warning_with_a_remedy(
    spoken, tmp_path: Path, texts: list[str], language: str, reason: str
):
    raw = corpus(tmp_path / "raw", spoken, texts)
    (problem,) = unheard(raw, SETTINGS, 24, language)
    assert reason in problem
    assert "set evaluation.recogniser" in problem
    assert problems(raw, language=language) == []


def test_a_corpus_of_a_handful_is_not_judged(spoken, tmp_path: Path):
    raw = corpus(tmp_path / "raw", spoken[:5], TEXTS[5:10])
    assert problems(raw) == unheard(raw, SETTINGS, 24, "en") == []


LENGTHS = [5 + 7 * n % 60 for n in range(40)]


def timed(folder: Path, letters: list[int], seconds: list[float]) -> Path:
    table = pa.table({"text": ["ä" * n for n in letters], "duration": seconds})
    return storage.build(folder, "made", 1, lambda _: Part(table)).folder


@pytest.mark.parametrize(
    ("letters", "seconds", "fit"),
    [
        (LENGTHS, [0.5 + n / 15 for n in LENGTHS], True),
        (LENGTHS, [0.5 + n / 15 for n in LENGTHS[3:] + LENGTHS[:3]], False),
        (LENGTHS, [0.5 + n / 15 for n in sorted(LENGTHS)], False),
        (LENGTHS, [4.0 + n % 3 / 10 for n in range(40)], True),  # clips cut to one length
        ([30 + n % 3 for n in range(40)], [0.5 + n / 15 for n in LENGTHS], True),  # one sentence again and again
        (LENGTHS[:20], [0.5 + n / 15 for n in LENGTHS[3:23]], True),  # too few to tell
        (LENGTHS, [0.0] * 40, True),
    ],
)
def test_long_texts_take_long_to_say(tmp_path: Path, letters: list[int], seconds: list[float], fit: bool):
    assert (texts_fit_durations(timed(tmp_path / "raw", letters, seconds)) == []) is fit


@pytest.mark.parametrize(
    ("order", "clips", "passed"), [("right", 24, True), ("by one", 24, False), ("by one", 0, True)]
)
def test_the_graph_stops_at_a_moved_table(spoken, tmp_path: Path, monkeypatch, order: str, clips: int, passed: bool):
    monkeypatch.setenv("PARLER_DATA", str(tmp_path))
    texts = [TEXTS[n] for n in MOVED.get(order, list)(list(range(len(TEXTS))))]
    workspace = workspace_of("sample")
    corpus(workspace.lane("own", "raw_dataset"), spoken, texts)
    source = {"kind": "folder", "path": str(tmp_path)}
    own = Corpus.model_validate({"source": source, "transcripts_heard": clips})
    raw_checks = corpus_checks("own", own, load_recipe("sample"))[0]
    asset = dg.AssetSpec(["own", "raw_dataset"])
    defs = dg.Definitions([asset], asset_checks=[raw_checks], resources=lane_resources(workspace))
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(raw_checks))
    defs = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = defs.resolve_job_def("checks").execute_in_process(raise_on_error=False)
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert found["transcripts_belong"].passed is passed
    assert found["transcripts_belong"].severity is dg.AssetCheckSeverity.ERROR


def lane_resources(workspace: Workspace) -> dict:
    return {"workspace": workspace, "accelerator": Accelerator(device="cpu")}
