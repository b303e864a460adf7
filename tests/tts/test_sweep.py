"""Variants of a training: each its own, compared in one table."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from parler_assets.definitions import definitions_of
from parler_assets.recipe import Recipe, load_recipe
from parler_assets.tts.experiments import sweep as sweeping
from parler_assets.tts.experiments.sweep import failures, run_sweep
from parler_assets.tts.training.job import TrainingFailed, TrainingRefused
from parler_assets.tts.training.launch import TrainingResult
from tests.support.graph import described
from tests.support.trainings import settings

VARIANTS = {"slow": {"learning_rate": 0.001}, "fast": {"learning_rate": 0.1}, "long": {"epochs": 6}}
TWO = {"slow": {"learning_rate": 0.0005}, "fast": {"learning_rate": 0.003}}
LOSSES = {0.001: 4.5, 0.1: float("nan"), 0.01: 4.25}


@pytest.fixture(autouse=True)
def trainings(monkeypatch):
    """Trainings that know their loss at once; the one with the highest learning rate diverges."""
    calls = []

    def train(training_set, base, folder, chosen, device, on_metrics, rebuild):
        calls.append((folder.name, chosen))
        on_metrics({"step": 1, "loss": 3.0})
        if chosen.learning_rate == 0.1:
            raise TrainingFailed("update 3: the loss or its gradient is not finite\nmore")
        loss = LOSSES[chosen.learning_rate]
        return TrainingResult(folder, folder / "checkpoint", "d", False, [], 12, 8, loss, 5.0)

    monkeypatch.setattr(sweeping, "run_training", train)
    return calls


def run(folder, *more, variants=VARIANTS, **also):
    return run_sweep(Path("set"), Path("base"), folder, settings(variants=variants), "cpu", *more, **also)


def test_every_variant_is_trained_with_its_changes_alone_and_scored_before_the_next(trainings, tmp_path):
    seen = []

    def score(name, result):
        seen.append((name, "scored"))
        return {}

    result = run(tmp_path, lambda name, line: seen.append((name, line["step"])), score)
    assert [name for name, _ in trainings] == list(VARIANTS)
    assert {name: (s.learning_rate, s.epochs) for name, s in trainings} == {
        "slow": (0.001, 3),
        "fast": (0.1, 3),
        "long": (0.01, 6),
    }
    assert all(not chosen.variants for _, chosen in trainings)
    assert seen == [("slow", 1), ("slow", "scored"), ("fast", 1), ("long", 1), ("long", "scored")]
    assert result.best("held_out_loss").name == "long"
    assert failures(tmp_path) == {"fast": "update 3: the loss or its gradient is not finite"}


SCORES = {"slow": {"style_probe": 0.7, "rate_exact": 0.5, "silent": 0.2}, "long": {"style_probe": 0.6, "silent": 0.1}}


def test_the_table_names_the_best_by_loss_and_by_adherence(tmp_path):
    result = run(tmp_path, score=lambda name, _: SCORES[name])
    lines = (tmp_path / "comparison.md").read_text().splitlines()
    assert lines[0].startswith("| variant | changes | held out loss | adherence | rate exact | silent | style probe |")
    assert lines[2] == "| long | epochs 6 | **4.2500** | 0.6000 |  | **0.1000** | 0.6000 | 8 of 12 | 5 |  |"
    best = "| slow | learning_rate 0.001 | 4.5000 | **0.7000** | **0.5000** | 0.2000 | **0.7000** | 8 of 12 | 5 |  |"
    assert lines[3] == best
    assert lines[4].startswith("| fast | learning_rate 0.1 |")
    assert lines[4].endswith("| update 3: the loss or its gradient is not finite |")
    assert {line.count("|") for line in lines[:5]} == {11}
    assert lines[-3:] == ["Best by held out loss: **long** (4.2500)", "", "Best by adherence: **slow** (0.7000)"]
    assert result.heard == ["style_probe"]  # what only one of them has would not be comparable
    assert (result.candidate("held_out_loss").name, result.candidate("adherence").name) == ("long", "slow")
    assert run(tmp_path).candidate("adherence").name == "long"


def test_a_sweep_without_variants_or_without_a_result_is_an_error(monkeypatch, tmp_path):
    with pytest.raises(TrainingRefused, match=r"training\.variants"):
        run(tmp_path, variants={})
    monkeypatch.setattr(sweeping, "run_training", lambda *a: (_ for _ in ()).throw(TrainingRefused("too small")))
    with pytest.raises(TrainingFailed, match="slow: too small"):
        run(tmp_path)


def test_variants_share_one_training_set():
    with pytest.raises(ValidationError, match=r"variants\.short\.max_seconds: all variants"):
        settings(variants={"short": {"max_seconds": 5}})


def test_variants_add_one_asset_and_one_job_and_none_leave_the_graph_as_it_was():
    plain = load_recipe("sample")
    swept = Recipe.model_validate({**plain.model_dump(), "training": {**plain.training.model_dump(), "variants": TWO}})
    before, after = (described(definitions_of(recipe)) for recipe in (plain, swept))
    assert after["assets"].keys() - before["assets"].keys() == {"sweep"}
    assert after["jobs"].keys() - before["jobs"].keys() == {"sweep_variants"}
    asset = after["assets"].pop("sweep")
    assert asset["deps"] == ["base_checkpoint", "training_set"]
    assert asset["checks"] == {"all_trained": "warning", "as_recipe": "warning"}
    assert after["assets"] == before["assets"]
    versions = (definitions_of(recipe).resolve_asset_graph() for recipe in (plain, swept))
    key = dg.AssetKey("finetuned_checkpoint")
    assert len({graph.get(key).code_version for graph in versions}) == 1
