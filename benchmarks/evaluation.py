"""What an evaluation costs: seconds of generating, scoring and reporting, wall and processor.

    python -m benchmarks.evaluation --recipe sample --texts 20

Reads the finished stages of a recipe (`parler-assets run` first), speaks its cells with `--texts` texts each in a
folder of its own, and prints the split. Scoring and report are to add at most a quarter of what generating takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parler_assets.cli.options import finetuned, finished_stages, held, open_project
from parler_assets.tts.report.report import write_report
from parler_assets.tts.scoring.stage import score_samples
from parler_assets.tts.synthesis.samples import labels_of, synthesize_samples


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    return result, {name: round(value, 2) for name, value in spent.items()}


def measure(recipe: str | None, texts: int, device: str) -> dict:
    project = open_project(recipe)
    built, chosen, workspace = finished_stages(project), project.recipe, project.workspace
    with held(device) as where, tempfile.TemporaryDirectory() as scratch:
        folder, bins = Path(scratch), list(built.bins.values())
        settings = chosen.evaluation.model_copy(update={"texts_per_cell": texts, "rates": ["moderate speed"]})
        checkpoints = (finetuned(workspace), built.base, built.training_set, built.raw)
        samples, made = timed(
            lambda: synthesize_samples(
                *checkpoints, folder / "samples", settings, chosen.describing, where, labels=labels_of(bins)
            )
        )
        inputs = (folder / "samples", built.training_set, bins, built.base, folder / "card")
        _, scored = timed(lambda: score_samples(*inputs, chosen.annotation, settings, where))
        paths, reported = timed(lambda: write_report(folder / "samples", folder / "card"))
        added = scored["processor"] + reported["processor"]
        return {
            "samples": samples.manifest.rows,
            "generating": made,
            "scoring": scored,
            "report": reported,
            "scoring and report, share of generating (processor)": round(added / made["processor"], 3),
            "report_megabytes": round(paths.html.stat().st_size / 1e6, 2),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default=None)
    parser.add_argument("--texts", type=int, default=20, help="of each speaker and style")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.recipe, asked.texts, asked.device), indent=1))
