"""Any checkpoint evaluated beside another: samples, scorecard and listening report in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parler_assets.recipe import Recipe
from parler_assets.tts.report.report import write_report
from parler_assets.tts.scoring.compare import Comparison, compare_scorecards
from parler_assets.tts.scoring.metrics import ADHERENCE
from parler_assets.tts.scoring.stage import Scores, score_samples
from parler_assets.tts.synthesis.samples import labels_of, synthesize_samples
from parler_assets.tts.training.launch import TrainingResult

ALSO_SHOWN = ("rate_spearman", "word_error_rate", "silent")


@dataclass(frozen=True)
class StageOutputs:
    """The finished stages that an evaluation reads.

    Attributes:
        base: the checkpoint whose codec made the codes.
        raw: corpus to its raw clips.
        bins: corpus to its text bins, for corpora that were annotated here.
        probes: what the scorecard's probes learnt from, or will; None keeps it beside the evaluations.
    """

    training_set: Path
    base: Path
    raw: Mapping[str, Path]
    bins: Mapping[str, Path]
    probes: Path | None = None


def evaluate(
    checkpoint: Path, against: Path, built: StageOutputs, folder: Path, recipe: Recipe, device: str = "cpu"
) -> Scores:
    """Let both checkpoints speak the recipe's prompts with the same seeds, score them and write the report.

    `checkpoint` takes the place of the fine-tuned system, `against` that of its base. What is there already is kept.
    """
    settings, bins = recipe.evaluation, list(built.bins.values())
    samples = folder / "evaluation_samples"
    synthesize_samples(
        checkpoint,
        against,
        built.training_set,
        built.raw,
        samples,
        settings,
        recipe.describing,
        device,
        labels=labels_of(bins),
    )
    scored = (samples, built.training_set, bins, built.base, folder / "scorecard", recipe.annotation, settings)
    # what the probes learn from is the same for every checkpoint of one training set
    scores = score_samples(*scored, device=device, probes_folder=built.probes or folder.parent / "probes")
    first, second = ("/".join(path.parts[-2:]) for path in (checkpoint, against))
    lead = f"On this page {first} stands where it says fine-tuned, and {second} where it says base."
    write_report(samples, folder / "scorecard", f"{first} beside {second}", lead)
    return scores


def compare_checkpoints(
    first: Path, second: Path, built: StageOutputs, folder: Path, recipe: Recipe, device: str = "cpu"
) -> Comparison:
    """Paired differences of two checkpoints; samples, scores and report stay in `folder`."""
    scores = evaluate(first, second, built, folder, recipe, device)
    found = compare_scorecards(scores.folder, scores.folder, "finetuned", "base")
    return Comparison(str(first), str(second), found.prompts, found.differences)


def variant_scores(
    name: str, result: TrainingResult, built: StageOutputs, folder: Path, recipe: Recipe, device: str = "cpu"
) -> dict[str, float]:
    """Scores of one variant of a sweep, evaluated beside the base in `folder/<name>`: what a comparison shows."""
    scores = evaluate(result.checkpoint, built.base, built, folder / name, recipe, device)
    wanted = {f"finetuned/{metric}": metric for metric in (*ADHERENCE, *ALSO_SHOWN)}
    return {metric: scores.numbers[key] for key, metric in wanted.items() if key in scores.numbers}
