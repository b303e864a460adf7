"""The command `seeds`: the same training and evaluation several times, and the spread over them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parler_assets.cli.speak import DeviceOption, RecipeOption, _built, _fail

app = typer.Typer(add_completion=False)
SHOWN = ("speaker_gender", "speaker_probe", "style_probe", "rate_spearman", "word_error_rate")


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
    if checkpoint and not (checkpoint / "config.json").is_file():
        _fail(f"{checkpoint}: not a checkpoint (it has no config.json)")
    with _built(recipe, device) as (chosen, workspace, built, where):
        from parler_assets.tts.base import checkpoint_digest
        from parler_assets.tts.experiments.seeds import TABLE, run_seeds
        from parler_assets.tts.training.job import TrainingFailed, TrainingRefused

        name = f"seeds-{checkpoint_digest(checkpoint)}" if checkpoint else "seeds"
        folder, first = workspace.root / name, chosen.training.seed

        def done(seed: int, numbers: dict[str, float]) -> None:
            found = {name: numbers.get(f"finetuned/{name}") for name in SHOWN}
            shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
            typer.echo(f"seed {seed}: {shown}")

        try:
            found = run_seeds(range(first, first + count), built, folder, chosen, where, checkpoint, done)
        except (TrainingFailed, TrainingRefused) as error:
            _fail(str(error))
        typer.echo(found.markdown())
        typer.echo(f"Kept in {folder / TABLE}; each seed's report lies in seed-<seed>/scorecard/report.html")
