"""A sweep: every variant of a recipe's training, and a table that says which is best.

Each variant is a training of its own (`launch.run_training`) in its own folder: finished ones are reused, an
interrupted one goes on, one that fails is a row of the table and not the end of the sweep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parler_assets.recipe import Training
from parler_assets.tts.launch import TrainingResult, run_training
from parler_assets.tts.training.job import TrainingFailed, TrainingRefused

logger = logging.getLogger(__name__)

LOWER_IS_BETTER = {"word_error_rate", "word_error_rate_open", "pitch_error_semitones", "silent"}
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Sweep:
    """What became of every variant: its result, or why there is none."""

    settings: Training
    results: dict[str, TrainingResult]
    failures: dict[str, str]

    @property
    def best(self) -> str:
        """The variant with the lowest held-out loss."""
        return min(self.results, key=lambda name: self.results[name].held_out_loss or float("inf"))

    def best_by(self, scores: Scores, name: str) -> str:
        """The variant with the best score `name` (of errors the lowest); `scores` maps variant to score to value."""
        best = min if name in LOWER_IS_BETTER else max
        return best((v for v in self.results if name in scores.get(v, {})), key=lambda v: scores[v][name])


def run_sweep(
    training_set: Path,
    base: Path,
    folder: Path,
    settings: Training,
    device: str = "cpu",
    on_metrics: Callable[[str, dict], None] | None = None,
    rebuild: bool = False,
) -> Sweep:
    """Train every variant of `settings`, one after the other, in `folder/<variant>`.

    Args:
        on_metrics: called with the variant's name and a line of its metrics.

    Raises:
        TrainingRefused: there are no variants, or the training set will not do for any.
        TrainingFailed: not one variant could be trained.
    """
    if not settings.variants:
        raise TrainingRefused("training.variants is empty: name at least one, with the settings it changes")
    report = on_metrics or (lambda name, line: None)
    results, failures = {}, {}
    for name in settings.variants:

        def lines(line: dict, name: str = name) -> None:
            report(name, line)

        try:
            results[name] = run_training(
                training_set, base, folder / name, settings.variant(name), device, lines, rebuild
            )
        except (TrainingFailed, TrainingRefused) as error:
            logger.warning("variant %s: %s", name, error)
            failures[name] = str(error)
    if not results:
        raise TrainingFailed("no variant could be trained:\n" + "\n".join(f"  {n}: {m}" for n, m in failures.items()))
    return Sweep(settings, results, failures)


def comparison(sweep: Sweep, scores: Scores | None = None) -> str:
    """The sweep as a Markdown table, lowest held-out loss first; the best of every column is bold."""
    scores = scores or {}
    names = sorted(sweep.results, key=lambda name: sweep.results[name].held_out_loss or float("inf"))
    measures = sorted({measure for values in scores.values() for measure in values})
    columns = ["variant", "changes", "held-out loss", *measures, "updates", "seconds"]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    winners = {measure: sweep.best_by(scores, measure) for measure in measures}
    for name in names:
        result = sweep.results[name]
        cells = [_bold(_number(result.held_out_loss), name == sweep.best)]
        cells += [_bold(_number(scores.get(name, {}).get(m)), name == winners[m]) for m in measures]
        cells += [f"{result.chosen_update} of {result.updates}", f"{result.seconds:.0f}"]
        lines.append("| " + " | ".join([name, _changes(sweep.settings, name), *cells]) + " |")
    for name, why in sweep.failures.items():
        first = why.splitlines()[0].replace("|", "/")
        lines.append(f"| {name} | {_changes(sweep.settings, name)} | failed: {first} |" + " |" * (len(columns) - 3))
    return "\n".join(lines)


def _changes(settings: Training, name: str) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.variants[name].items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _bold(text: str, chosen: bool) -> str:
    return f"**{text}**" if chosen and text else text
