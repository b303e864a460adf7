"""A sweep: every variant of a recipe's training, and a table that says which is best.

Each variant is a training of its own (`launch.run_training`) in its own folder, scored before the next one starts:
finished ones are reused, an interrupted one continues, one that fails is a row of the table and not the sweep's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parler_assets.intake.markdown import escaped
from parler_assets.recipe import Training, digest
from parler_assets.storage import Schema, replacing
from parler_assets.tts.scoring.metrics import ADHERENCE, LOWER_IS_BETTER
from parler_assets.tts.training.job import TrainingFailed, TrainingRefused
from parler_assets.tts.training.launch import TrainingResult, run_training

logger = logging.getLogger(__name__)

Measure = Literal["held_out_loss", "adherence"]
TABLE, RECORD = "comparison.md", "comparison.json"
COMPARED = Schema("sweep", ["variants"])


@dataclass(frozen=True)
class Variant:
    """What became of one variant: its training and scores, or why there are none."""

    name: str
    changes: Mapping[str, Any]
    result: TrainingResult | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class Sweep:
    """All variants that were tried, in the recipe's order."""

    variants: Sequence[Variant]

    @property
    def trained(self) -> list[Variant]:
        return [variant for variant in self.variants if variant.result]

    @property
    def failures(self) -> dict[str, str]:
        return {variant.name: variant.failure for variant in self.variants if variant.failure}

    @property
    def heard(self) -> list[str]:
        """The parts of adherence that could be scored of every trained variant: others would not be comparable."""
        return [part for part in ADHERENCE if self.trained and all(part in v.scores for v in self.trained)]

    def numbers(self, variant: Variant) -> dict[str, float]:
        """Held-out loss, adherence (the mean of the parts in `heard`) and all scores."""
        loss = variant.result.held_out_loss if variant.result else None
        parts = [variant.scores[part] for part in self.heard] if variant.result else []
        found = {} if loss is None else {"held_out_loss": loss}
        return found | ({"adherence": sum(parts) / len(parts)} if parts else {}) | dict(variant.scores)

    @property
    def measures(self) -> list[str]:
        """What can be compared: held-out loss, adherence, then the scores by name."""
        known = {name for variant in self.trained for name in self.numbers(variant)}
        first = [name for name in ("held_out_loss", "adherence") if name in known]
        return [*first, *sorted(known - set(first))]

    def best(self, measure: str) -> Variant | None:
        """The variant that is best by one measure (of losses and errors the lowest); None where none has it."""
        having = [variant for variant in self.trained if measure in self.numbers(variant)]
        choose = min if measure in LOWER_IS_BETTER else max
        return choose(having, key=lambda variant: self.numbers(variant)[measure]) if having else None

    def candidate(self, measure: Measure) -> Variant:
        """The best by `measure`; by the other one where nothing could be scored, or nothing was held out."""
        return self.best(measure) or self.best("held_out_loss") or self.best("adherence") or self.trained[0]

    @property
    def digest(self) -> str:
        """Of every checkpoint, score and failure."""
        return digest([[v.name, v.result.digest if v.result else v.failure, self.numbers(v)] for v in self.variants])


def run_sweep(
    training_set: Path,
    base: Path,
    folder: Path,
    settings: Training,
    device: str = "cpu",
    on_metrics: Callable[[str, dict], None] | None = None,
    score: Callable[[str, TrainingResult], Mapping[str, float]] | None = None,
    on_variant: Callable[[Variant], None] | None = None,
    rebuild: bool = False,
) -> Sweep:
    """Train and score every variant of `settings`, one after the other, in `folder/<variant>`.

    The table of those done so far is in `folder/comparison.md` and `.json`, from the first variant on.

    Args:
        on_metrics: called with the variant's name and a line of its metrics.
        score: gives a trained variant's scores by name.
        on_variant: called with every variant that is done.

    Raises:
        TrainingRefused: there are no variants, or the training set will not do for any.
        TrainingFailed: not one variant could be trained.
    """
    if not settings.variants:
        raise TrainingRefused("training.variants is empty: name at least one, with the settings it changes")
    report = on_metrics or (lambda name, line: None)
    done: list[Variant] = []
    for name, changes in settings.variants.items():

        def lines(line: dict, name: str = name) -> None:
            report(name, line)

        try:
            result = run_training(training_set, base, folder / name, settings.variant(name), device, lines, rebuild)
            done.append(Variant(name, changes, result, score(name, result) if score else {}))
        except (TrainingFailed, TrainingRefused) as error:
            logger.warning("variant %s: %s", name, error)
            done.append(Variant(name, changes, failure=str(error)))
        write_comparison(Sweep(done), folder)
        if on_variant:
            on_variant(done[-1])
    sweep = Sweep(done)
    if not sweep.trained:
        listed = "\n".join(f"  {name}: {why}" for name, why in sweep.failures.items())
        raise TrainingFailed(f"no variant could be trained:\n{listed}")
    return sweep


def rows(sweep: Sweep) -> list[dict[str, Any]]:
    """One record a variant: lowest held-out loss first, those that failed last, with the reason."""
    records = []
    for variant in sorted(sweep.variants, key=lambda v: sweep.numbers(v).get("held_out_loss", float("inf"))):
        changes = ", ".join(f"{key} {value}" for key, value in variant.changes.items())
        record: dict[str, Any] = {"variant": variant.name, "changes": changes}
        record |= {measure: sweep.numbers(variant).get(measure) for measure in sweep.measures}
        result = variant.result
        record["chosen_update"] = f"{result.chosen_update} of {result.updates}" if result else None
        record["seconds"] = round(result.seconds) if result else None
        record["best_by"] = ", ".join(m for m in sweep.measures if _same(sweep.best(m), variant)) or None
        record["failure"] = variant.failure and variant.failure.splitlines()[0]
        records.append(record)
    return records


def comparison(sweep: Sweep) -> str:
    """The sweep as a Markdown table; the best of every measure is bold."""
    records = rows(sweep)
    names = [name for name in records[0] if name != "best_by" and (name != "failure" or sweep.failures)]
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    for record in records:
        winning = (record["best_by"] or "").split(", ")
        cells = [_bold(escaped(_shown(record[name])), name in winning) for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    for measure in ("held_out_loss", "adherence"):
        best = sweep.best(measure)
        if best:
            name, value = escaped(best.name), sweep.numbers(best)[measure]
            lines += ["", f"Best by {measure.replace('_', ' ')}: **{name}** ({value:.4f})"]
    return "\n".join(lines)


def write_comparison(sweep: Sweep, folder: Path) -> None:
    """The table for people in `comparison.md`, the same records in `comparison.json`."""
    with replacing(folder / TABLE) as temporary:
        temporary.write_text(comparison(sweep) + "\n", encoding="utf-8")
    COMPARED.write(folder / RECORD, {"variants": rows(sweep)})


def failures(folder: Path) -> dict[str, str]:
    """Variant to why it could not be trained, in the sweep that `folder` has."""
    found = COMPARED.find(folder / RECORD, "materialize the sweep again") or {"variants": []}
    return {record["variant"]: record["failure"] for record in found["variants"] if record["failure"]}


def _same(one: Variant | None, other: Variant) -> bool:
    return one is not None and one.name == other.name


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _bold(text: str, chosen: bool) -> str:
    return f"**{text}**" if chosen and text else text
