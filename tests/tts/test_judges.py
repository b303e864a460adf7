"""The slow judges as they really run: Whisper and SQUIM read from published formats, made here at random."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from parler_assets.recipe import Evaluation
from parler_assets.tts.scoring import card
from parler_assets.tts.scoring.judges import judge_samples
from parler_assets.tts.scoring.statistics import Missing, Score
from parler_assets.tts.scoring.words import errors_of
from tests.speech.test_quality import weights  # noqa: F401
from tests.support.evaluation_samples import sample_rows, write_samples
from tests.support.tiny_whisper import write_tiny_whisper

OURS = ("base", "finetuned")
HEARD = "Open the door, and wait!"


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"), HEARD)


def settings(recogniser, judged: int = 2) -> Evaluation:
    return Evaluation(speakers=["Jerry"], styles=["happy"], judged=judged, recogniser=str(recogniser))


def test_what_whisper_hears_becomes_a_word_error_rate(tmp_path, whisper, monkeypatch):
    monkeypatch.delenv("PARLER_WEIGHTS", raising=False)
    rows = sample_rows()
    write_samples(tmp_path / "samples", rows)
    values, reasons = judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings(whisper))
    assert len(values) == 8, "two of each system"
    prompts = {system: [name.split("/", 1)[1] for name in values if name.startswith(system)] for system in OURS}
    assert len(prompts["base"]) == 2
    assert prompts["base"] == prompts["finetuned"]
    assert {found["transcript_open"] for found in values.values()} == {HEARD}
    assert "word_error_rate_open" not in reasons
    judged = [{**row, **values.get(row["id"], {}), **_errors(row, values)} for row in rows]
    found = {score.metric: score for score in card.judged_scores("finetuned", _of(judged, "finetuned"), reasons)}
    rate = found["word_error_rate_open"]
    assert isinstance(rate, Score)
    assert (rate.value, rate.n) == (pytest.approx(1 / 4), 2), "one word too many of `Open the <door> & wait.`"
    assert isinstance(found["squim_pesq"], Missing)
    assert isinstance(found["distillmos"], Missing)
    again, _ = judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings(whisper))
    assert again == values


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_checkpoint_in_half_precision_as_it_is_published_is_heard(tmp_path, dtype, monkeypatch):
    monkeypatch.delenv("PARLER_WEIGHTS", raising=False)
    folder = write_tiny_whisper(tmp_path / "whisper", HEARD, dtype)
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype}  # noqa: SIM118
    rows = sample_rows(("happy",))
    write_samples(tmp_path / "samples", rows)
    values, _ = judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings(folder, judged=1))
    assert {found["transcript_open"] for found in values.values()} == {HEARD}


def test_squim_and_whisper_judge_the_same_samples(tmp_path, whisper, weights, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    rows = sample_rows()
    write_samples(tmp_path / "samples", rows)
    values, reasons = judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings(whisper, judged=1))
    assert set(reasons) == {"distillmos"}
    assert all(0 <= found["squim_stoi"] <= 1 and found["transcript_open"] == HEARD for found in values.values())


def test_a_folder_without_weights_is_a_named_gap(tmp_path, whisper):
    for path in whisper.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = sample_rows()
    write_samples(tmp_path / "samples", rows)
    values, reasons = judge_samples(tmp_path / "samples", rows, tmp_path / "judged", settings(tmp_path))
    assert "cannot be loaded here" in reasons["word_error_rate_open"]
    assert not any("transcript_open" in found for found in values.values())


def _of(rows, system):
    return [row for row in rows if row["system"] == system]


def _errors(row, values) -> dict:
    heard = values.get(row["id"], {}).get("transcript_open")
    counts = {} if heard is None else errors_of(row["text"], heard)
    return {f"{name}_open": count for name, count in counts.items()}
