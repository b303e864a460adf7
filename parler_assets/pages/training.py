"""What the pages of trainings show: curves over updates, loss by codebook, style and speaker, a sweep's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.pages.charts import curves
from parler_assets.pages.columns import rows_table

if TYPE_CHECKING:
    from parler_assets.tts.experiments.sweep import Measure, Sweep
    from parler_assets.tts.training.launch import TrainingResult

Lines = Sequence[dict[str, Any]]
CODEBOOK, STYLE, SPEAKER = "eval_codebook/", "eval_style/", "eval_speaker/"


def training_metadata(result: TrainingResult) -> dict[str, Any]:
    """Loss curves and last values of a finished training, and the licences its checkpoint inherits."""
    lines = result.metrics
    losses = {"training": series(lines, "loss"), "held out": series(lines, "eval_loss")}
    metadata: dict[str, Any] = {
        "checkpoint": dg.MetadataValue.path(str(result.checkpoint)),
        "reused": result.reused,
        "seconds": round(result.seconds, 1),
        "updates": result.updates,
        "chosen_update": result.chosen_update,
        "licences": dg.MetadataValue.json(licences_of(result.checkpoint)),
        "loss_curve": curves({name: points for name, points in losses.items() if points}, "update", "loss"),
    }
    if result.held_out_loss is not None:
        metadata |= {"held_out_loss": float(result.held_out_loss)} | parts(lines, result.chosen_update)
    reference = {"training": series(lines, "reference_loss"), "8 clips": series(lines, "reference_eval_loss")}
    if reference["training"]:
        metadata["as_the_reference_reports"] = curves(reference, "update", "loss by the reference's definitions")
    return metadata


def parts(lines: Lines, chosen: int) -> dict[str, Any]:
    """Held-out loss by codebook (a curve each), and by style and speaker: at the start, and of the checkpoint."""
    codebooks = {
        f"codebook {name}": series(lines, f"{CODEBOOK}{name}") for name in sorted(names(lines, CODEBOOK), key=int)
    }
    found: dict[str, Any] = {"codebook_curves": curves(codebooks, "update", "held-out loss")} if codebooks else {}
    for column, prefix in (("codebook", CODEBOOK), ("style", STYLE), ("speaker", SPEAKER)):
        rows = [before_and_after(column, name, series(lines, prefix + name), chosen) for name in names(lines, prefix)]
        if rows:
            found[f"held_out_by_{column}"] = rows_table(rows)
    return found


def before_and_after(column: str, name: str, points: list[tuple[int, float]], chosen: int) -> dict[str, Any]:
    """One row: the first value, that of the chosen update, and the difference."""
    before, after = points[0][1], dict(points).get(chosen)
    change = None if after is None else after - before
    return {column: name, "before": before, "checkpoint": after, "change": change}


def names(lines: Lines, prefix: str) -> list[str]:
    """What is behind a prefix of metrics, in order of appearance."""
    return list(dict.fromkeys(key.removeprefix(prefix) for line in lines for key in line if key.startswith(prefix)))


def series(lines: Lines, key: str) -> list[tuple[int, float]]:
    """(update, value) of one metric."""
    return [(line["step"], line[key]) for line in lines if key in line]


def licences_of(checkpoint: Path) -> dict[str, str]:
    """Corpus to licence, as the checkpoint carries them."""
    return json.loads((checkpoint / "provenance.json").read_text(encoding="utf-8"))["licences"]


def sweep_metadata(sweep: Sweep, candidate_by: Measure) -> dict[str, Any]:
    """The table, what is best, the candidate, and one held-out curve a variant."""
    from parler_assets.tts.experiments.sweep import comparison, rows

    held_out = {v.name: series(v.result.metrics, "eval_loss") for v in sweep.variants if v.result}
    best = {measure: sweep.best(measure) for measure in ("held_out_loss", "adherence")}
    candidate = sweep.candidate(candidate_by)
    assert candidate.result
    metadata: dict[str, Any] = {
        "variants": rows_table(rows(sweep)),
        "comparison": dg.MetadataValue.md(comparison(sweep)),
        "held_out_curves": curves({k: v for k, v in held_out.items() if v}, "update", "held-out loss"),
        "candidate": candidate.name,
        "checkpoint": dg.MetadataValue.path(str(candidate.result.checkpoint)),
        "reused": all(v.result and v.result.reused for v in sweep.variants),
        "adherence_is_the_mean_of": ", ".join(sweep.heard) or "nothing: no part of it could be scored",
    }
    return metadata | {f"best_by_{measure}": found.name for measure, found in best.items() if found}
