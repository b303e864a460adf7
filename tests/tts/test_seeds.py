"""Several seeds: what is trained and spoken with which, what differs between them, and what a stop leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from parler_assets.recipe import Thresholds, load_recipe
from parler_assets.tts.experiments import seeds
from parler_assets.tts.training.job import TrainingFailed


@dataclass
class Made:
    """A stand-in for what training or an evaluation gives."""

    numbers: dict | None = None
    checkpoint: Path = Path("trained")
    held_out_loss: float | None = 2.0


@pytest.fixture
def asked(monkeypatch):
    """Seeds of trainings and evaluations; style follows the seed, training fails at seed 9."""
    seen: dict[str, list] = {"trained": [], "spoken": []}

    def run_training(training_set, base, folder, settings, device):
        if settings.seed == 9:
            raise TrainingFailed("seed 9 ran out of memory")
        seen["trained"].append(settings.seed)
        return Made(checkpoint=folder / "checkpoint")

    def evaluate(checkpoint, against, built, folder, recipe, device):
        seed = recipe.evaluation.seed
        seen["spoken"].append((checkpoint, seed))
        scores = {"finetuned/style_probe": seed / 10, "base/style_probe": 0.125, "copy/stoi": 0.9}
        return Made(scores | ({"finetuned/squim_pesq": 2.0} if seed == 5 else {}))

    monkeypatch.setattr(seeds, "run_training", run_training)
    monkeypatch.setattr(seeds, "evaluate", evaluate)
    return seen


def run(folder: Path, numbers, **options) -> seeds.Seeds:
    recipe = load_recipe("sample")
    limits = Thresholds(style_probe=0.6, word_error_rate=0.4)
    recipe = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"thresholds": limits})})
    built = seeds.StageOutputs(Path("set"), Path("base"), {}, {})
    return seeds.run_seeds(numbers, built, folder, recipe, **options)


def test_every_seed_trains_and_speaks_with_its_own(tmp_path, asked):
    found = run(tmp_path, [5, 6, 7])
    assert asked["trained"] == [5, 6, 7]
    assert asked["spoken"] == [(tmp_path / f"seed-{n}" / "training" / "checkpoint", n) for n in (5, 6, 7)]
    style, loss = (found.over_seeds(name, "finetuned") for name in ("style_probe", "held_out_loss"))
    assert style
    assert (style.mean, style.deviation) == pytest.approx((0.6, 0.1))
    assert loss
    assert loss.deviation == 0
    text = (tmp_path / seeds.TABLE).read_text()
    assert "| style (probe) | 0.600 ± 0.100 [0.500, 0.700] | 0.125 ± 0.000 [0.125, 0.125] |" in text
    assert "at least 0.6: met by the mean, 2 of 3 seeds" in text
    assert "training and generation" in text
    assert found.verdict("word_error_rate") == "at most 0.4: not scored by every seed"


def test_a_score_that_one_seed_lacks_has_no_mean(tmp_path, asked):
    alone = run(tmp_path, [5]).over_seeds("squim_pesq", "finetuned")
    assert alone
    assert alone.values == (2.0,)
    assert run(tmp_path, [5, 6]).over_seeds("squim_pesq", "finetuned") is None


def test_one_checkpoint_is_spoken_with_every_seed(tmp_path, asked):
    found = run(tmp_path, [5, 6], checkpoint=Path("mine"))
    assert asked == {"trained": [], "spoken": [(Path("mine"), 5), (Path("mine"), 6)]}
    assert "generation alone" in found.markdown().splitlines()[0]


def test_a_failed_training_keeps_the_seeds_before(tmp_path, asked):
    with pytest.raises(TrainingFailed, match="memory"):
        run(tmp_path, [5, 9])
    assert json.loads((tmp_path / seeds.RECORD).read_text())["seeds"]["5"]["finetuned/style_probe"] == 0.5
