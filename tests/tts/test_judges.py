"""The slow judges as they really run: Whisper and SQUIM read from published formats, made here at random."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors import safe_open

from parler_assets.recipe import Evaluation
from parler_assets.tts.scoring import card
from parler_assets.tts.scoring.distillmos import SEGMENT, compressed, is_installed, load_distillmos, segments
from parler_assets.tts.scoring.judges import judge_samples
from parler_assets.tts.scoring.statistics import Missing, Score
from parler_assets.tts.scoring.words import errors_of
from tests.speech.test_quality import weights  # noqa: F401
from tests.support.evaluation_samples import buzz, sample_rows, write_samples
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
    assert isinstance(found["distillmos"], Score if is_installed() else Missing)
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
    assert set(reasons) == (set() if is_installed() else {"distillmos"})
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


@pytest.mark.parametrize(("length", "starts"), [(1000, [0]), (SEGMENT, [0]), (SEGMENT + 20_000, [0, 10_000, 20_000])])
def test_a_sound_is_judged_in_segments_that_cover_it(length, starts):
    sound = torch.arange(1, length + 1, dtype=torch.float32)
    parts = segments(sound)
    assert parts.shape == (len(starts), SEGMENT)
    assert parts[:, 0].tolist() == [start + 1 for start in starts]
    assert parts.max() == length


def test_spectra_are_compressed_in_magnitude_alone():
    sound = torch.sin(torch.arange(4800) / 5)[None]
    loud, soft = compressed(sound), compressed(sound / 32)
    assert loud.shape == (1, 2, 161, 30)
    strong = loud.norm(dim=1) > 0.5
    ratio = (loud.norm(dim=1) / soft.norm(dim=1))[strong]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 32**0.3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch.atan2(*loud[0].flip(0))[strong[0]], torch.atan2(*soft[0].flip(0))[strong[0]])


@pytest.mark.skipif(not is_installed(), reason="the packages distillmos and xls_r_sqa are not installed")
def test_published_opinion_scores_need_no_torchaudio():
    clean = torch.from_numpy(buzz(120, 3.0))
    noisy = clean + 0.1 * torch.randn(len(clean), generator=torch.Generator().manual_seed(0))
    before = set(sys.modules)
    with torch.inference_mode():
        scores = [float(load_distillmos()(sound)) for sound in (clean, noisy)]
    assert all(1 <= score <= 5 for score in scores)
    assert scores[0] != pytest.approx(scores[1], abs=0.01)
    assert "torchaudio" not in set(sys.modules) - before


def _of(rows, system):
    return [row for row in rows if row["system"] == system]


def _errors(row, values) -> dict:
    heard = values.get(row["id"], {}).get("transcript_open")
    counts = {} if heard is None else errors_of(row["text"], heard)
    return {f"{name}_open": count for name, count in counts.items()}
