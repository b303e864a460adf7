"""Variants of a training: each its own, compared in one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainings import settings

from parler_assets.tts import sweep as sweeping
from parler_assets.tts.launch import TrainingResult
from parler_assets.tts.sweep import comparison, run_sweep
from parler_assets.tts.training.job import TrainingFailed, TrainingRefused

VARIANTS = {"slow": {"learning_rate": 0.001}, "fast": {"learning_rate": 0.1}, "long": {"epochs": 6}}
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


def run(on_metrics=None, **changes):
    return run_sweep(
        Path("set"), Path("base"), Path("sweep"), settings(variants=VARIANTS, **changes), "cpu", on_metrics
    )


def test_every_variant_is_trained_with_its_changes_alone(trainings):
    seen = []
    result = run(lambda name, line: seen.append((name, line["step"])))
    assert [name for name, _ in trainings] == list(VARIANTS)
    assert {name: (s.learning_rate, s.epochs) for name, s in trainings} == {
        "slow": (0.001, 3),
        "fast": (0.1, 3),
        "long": (0.01, 6),
    }
    assert all(not chosen.variants for _, chosen in trainings)
    assert seen == [("slow", 1), ("fast", 1), ("long", 1)]
    assert result.best == "long"
    assert list(result.failures) == ["fast"]


def test_the_table_names_the_best_by_loss_and_by_score():
    result = run()
    scores = {"slow": {"adherence": 0.7}, "long": {"adherence": 0.6}}
    lines = comparison(result, scores).splitlines()
    assert lines[2] == "| long | epochs 6 | **4.2500** | 0.6000 | 8 of 12 | 5 |"
    assert lines[3] == "| slow | learning_rate 0.001 | 4.5000 | **0.7000** | 8 of 12 | 5 |"
    assert "failed: update 3" in lines[4]
    assert {line.count("|") for line in lines} == {7}
    assert result.best_by(scores, "adherence") == "slow"


def test_a_sweep_without_variants_or_without_a_result_is_an_error(monkeypatch):
    with pytest.raises(TrainingRefused, match=r"training\.variants"):
        run_sweep(Path("set"), Path("base"), Path("sweep"), settings())
    monkeypatch.setattr(sweeping, "run_training", lambda *a: (_ for _ in ()).throw(TrainingRefused("too small")))
    with pytest.raises(TrainingFailed, match="slow: too small"):
        run()
