"""Commands that set checkpoints beside each other: compare two, sweep the recipe's variants, repeat with seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parler_assets.cli.options import (
    DeviceOption,
    RecipeOption,
    checkpoint_folder,
    fail,
    finished_stages,
    held,
    open_project,
)

app = typer.Typer(add_completion=False)
SHOWN = ("speaker_gender", "speaker_probe", "style_probe", "rate_spearman", "word_error_rate")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="folder of a checkpoint, or of a scorecard")],
    second: Annotated[Path, typer.Argument(help="the same kind of folder")],
    recipe: RecipeOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Say where one checkpoint is better than another: paired differences on the same prompts and seeds."""
    if all((folder / "samples.jsonl").is_file() for folder in (first, second)):
        _compare_scorecards(first, second)
        return
    for folder in (first, second):
        if not (folder / "config.json").is_file():
            fail(f"{folder}: neither a checkpoint (config.json) nor a scorecard (samples.jsonl)")
    project = open_project(recipe)
    built = finished_stages(project)
    from parler_assets.tts.base import checkpoint_digest
    from parler_assets.tts.experiments.evaluate import compare_checkpoints

    name = f"{checkpoint_digest(first)}-{checkpoint_digest(second)}"
    place = project.workspace.shared("comparisons") / name
    with held(device) as where:
        typer.echo(compare_checkpoints(first, second, built, place, project.recipe, where).markdown())
    typer.echo(f"Listen: {place / 'scorecard' / 'report.html'}")


def _compare_scorecards(first: Path, second: Path) -> None:
    from parler_assets.tts.scoring.compare import CompareError, compare_scorecards

    try:
        typer.echo(compare_scorecards(first, second).markdown())
    except CompareError as error:
        fail(str(error))


@app.command()
def sweep(recipe: RecipeOption = None, device: DeviceOption = "auto") -> None:
    """Train every variant of the recipe's training, score each, and print one table; UI and MLflow show it too."""
    project = open_project(recipe)
    if not project.recipe.training.variants:
        fail("training.variants is empty: name at least one in the recipe, with the settings it changes")
    from parler_assets.cli.materialize import materialize_or_fail
    from parler_assets.tts.experiments.sweep import TABLE

    materialize_or_fail(job="sweep_variants", device=device)
    folder = project.workspace.sweep
    typer.echo((folder / TABLE).read_text(encoding="utf-8"))
    typer.echo(f"MLflow's candidate: {project.workspace.recall(folder).get('candidate', 'not recorded')}")


@app.command()
def seeds(
    count: Annotated[int, typer.Argument(min=1, max=20, help="how many seeds, from the recipe's training.seed on")] = 5,
    recipe: RecipeOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="speak this one with every seed; default: train one for each seed"),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train and evaluate with several seeds; print mean and spread of every score. Finished seeds are reused."""
    if checkpoint:
        checkpoint_folder(checkpoint)
    project = open_project(recipe)
    built, chosen = finished_stages(project), project.recipe
    from parler_assets.assets.training import cards_for
    from parler_assets.tts.base import checkpoint_digest
    from parler_assets.tts.experiments.seeds import TABLE, run_seeds
    from parler_assets.tts.training.job import TrainingFailed, TrainingRefused

    seeds, first = project.workspace.shared("seeds"), chosen.training.seed
    folder = seeds.with_name(f"seeds-{checkpoint_digest(checkpoint)}") if checkpoint else seeds
    try:
        with held(device, 1 if checkpoint else cards_for(chosen.training)) as where:
            found = run_seeds(range(first, first + count), built, folder, chosen, where, checkpoint, _seed_is_done)
    except (TrainingFailed, TrainingRefused) as error:
        fail(str(error))
    typer.echo(found.markdown())
    typer.echo(f"Kept in {folder / TABLE}; each seed's report lies in seed-<seed>/scorecard/report.html")


def _seed_is_done(seed: int, numbers: dict[str, float]) -> None:
    found = {name: numbers.get(f"finetuned/{name}") for name in SHOWN}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
    typer.echo(f"seed {seed}: {shown}")
