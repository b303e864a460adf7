"""How far results depend on chance: the same training and evaluation with several seeds, and what differs between them.

A seed is given to both: training (order of clips, dropout, adapters) and generation (what is drawn for every prompt).
The base checkpoint is spoken with the same generation seeds, so that it differs by generation alone; clips and
copies do not depend on seeds. Without training, one checkpoint is spoken with several generation seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parler_assets.recipe import Recipe, Thresholds
from parler_assets.speech.devices import first
from parler_assets.storage import Schema, replacing
from parler_assets.tts.experiments.evaluate import StageOutputs, evaluate
from parler_assets.tts.scoring.metrics import NAMES, limit_in_words, reaches
from parler_assets.tts.training.launch import run_training

TABLE, RECORD = "seeds.md", "seeds.json"
FIRST = ("speaker_gender", "speaker_probe", "style_probe", "rate_spearman", "word_error_rate", "stoi")


@dataclass(frozen=True)
class OverSeeds:
    """One metric of one system over seeds; `deviation` is the sample standard deviation, None of a single seed."""

    metric: str
    system: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def __str__(self) -> str:
        if self.deviation is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ± {self.deviation:.3f} [{min(self.values):.3f}, {max(self.values):.3f}]"


@dataclass(frozen=True)
class Seeds:
    """Scores by seed, as `Scores.numbers` names them: `finetuned/style_probe`."""

    trained: bool
    numbers: dict[int, dict[str, float]]
    thresholds: Thresholds

    def over_seeds(self, metric: str, system: str) -> OverSeeds | None:
        """None where a seed has no such score: a mean of fewer seeds would not say so."""
        values = [numbers.get(f"{system}/{metric}") for numbers in self.numbers.values()]
        found = tuple(value for value in values if value is not None)
        return OverSeeds(metric, system, found) if found and len(found) == len(values) else None

    @property
    def metrics(self) -> list[str]:
        """Those of the goals first."""
        return [*FIRST, *(name for name in NAMES if name not in FIRST)]

    def verdict(self, metric: str) -> str:
        """The recipe's threshold beside the mean over seeds, and how many seeds reach it; empty without one."""
        limit = getattr(self.thresholds, metric, None)
        found = self.over_seeds(metric, "finetuned")
        if limit is None:
            return ""
        wanted = limit_in_words(metric, limit)
        if found is None:
            return f"{wanted}: not scored by every seed"
        reached = sum(reaches(metric, value, limit) for value in found.values)
        met = "met" if reaches(metric, found.mean, limit) else "not met"
        return f"{wanted}: {met} by the mean, {reached} of {len(found.values)} seeds"

    def markdown(self) -> str:
        """Mean ± standard deviation [lowest, highest] over the seeds."""
        what = "training and generation" if self.trained else "generation alone"
        numbers = ", ".join(map(str, self.numbers))
        lines = [f"{len(self.numbers)} seeds ({numbers}) of {what}: mean ± standard deviation [lowest, highest]", ""]
        lines += ["| | fine-tuned | base (generation alone) | copy | threshold |", "|---|---|---|---|---|"]
        for metric in self.metrics:
            cells = [self.over_seeds(metric, system) for system in ("finetuned", "base", "copy")]
            if any(cells[:2]) or self.verdict(metric) or (metric in FIRST and any(cells)):
                shown = [str(cell) if cell else "–" for cell in cells[:2]]
                shown.append(f"{cells[2].mean:.3f}" if cells[2] else "–")
                lines.append(f"| {NAMES[metric]} | {' | '.join(shown)} | {self.verdict(metric)} |")
        return "\n".join(lines) + "\n"


def run_seeds(
    seeds: Sequence[int],
    built: StageOutputs,
    folder: Path,
    recipe: Recipe,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_seed: Callable[[int, dict[str, float]], None] | None = None,
) -> Seeds:
    """Train, speak and score once for every seed, in `folder/seed-<seed>`; finished ones are reused.

    `seeds.md` and `seeds.json` there hold the table of the seeds done so far.

    Args:
        checkpoint: is spoken with every seed; None trains one for each.

    Raises:
        TrainingRefused, TrainingFailed: as `run_training`; what the seeds before gave is kept.
    """
    done = Seeds(checkpoint is None, {}, recipe.evaluation.thresholds)
    for seed in dict.fromkeys(seeds):
        place = folder / f"seed-{seed}"
        speaking = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"seed": seed})})
        spoken, loss = checkpoint, None
        if spoken is None:
            settings = recipe.training.model_copy(update={"seed": seed})
            trained = run_training(built.training_set, built.base, place / "training", settings, device)
            spoken, loss = trained.checkpoint, trained.held_out_loss
        numbers = evaluate(spoken, built.base, built, place, speaking, first(device)).numbers
        done.numbers[seed] = numbers | ({} if loss is None else {"finetuned/held_out_loss": loss})
        _write(done, folder)
        if on_seed:
            on_seed(seed, done.numbers[seed])
    return done


def _write(done: Seeds, folder: Path) -> None:
    with replacing(folder / TABLE) as temporary:
        temporary.write_text(done.markdown(), encoding="utf-8")
    Schema("seeds").write(
        folder / RECORD, {"trained": done.trained, "seeds": {str(k): v for k, v in done.numbers.items()}}
    )
