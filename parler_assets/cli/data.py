"""The command that measures a folder of recordings, without a recipe, Dagster or training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(add_completion=False)


@app.command()
def annotate(
    folder: Annotated[Path, typer.Argument(help="recordings, with or without a table of texts")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where results go; default: annotation/FOLDER here")
    ] = None,
    edges: Annotated[
        str, typer.Option(help="of the bins: estimated (from these clips), v01, v01_2024_04, v02, or a JSON of edges")
    ] = "estimated",
    labels: Annotated[str | None, typer.Option(help="v01, v02 or a JSON; default: those of the edges")] = None,
    era: Annotated[str | None, typer.Option(help="a or b; default: b for edges v02, else a")] = None,
    pitch: Annotated[str, typer.Option(help="praat, penn, penn_viterbi or penn_fast")] = "praat",
    room: Annotated[str, typer.Option(help="of SNR and C50: classical, brouhaha or brouhaha_fast")] = "classical",
    quality: Annotated[str, typer.Option(help="STOI, PESQ, SI-SDR: none or squim")] = "none",
    phonemes: Annotated[str, typer.Option(help="behaviour of g2p: before_2_2 or since_2_2")] = "before_2_2",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")] = "auto",
    rebuild: Annotated[bool, typer.Option(help="measure again what is already there")] = False,
) -> None:
    """Measure and label every recording in a folder: tags, bins, plots and a report. A second call goes on."""
    from pydantic import ValidationError

    from parler_assets.recipe import Annotation, Binning

    chosen = {"era": era or ("b" if edges == "v02" else "a"), "pitch": pitch, "room": room, "quality": quality}
    try:
        annotation = Annotation.model_validate(chosen | {"phonemes": phonemes})
        binning = Binning(edges=edges, labels=labels)
    except ValidationError as error:
        problems = "; ".join(f"--{'.'.join(map(str, e['loc'])) or 'edges'}: {e['msg']}" for e in error.errors())
        _fail(problems.replace("Value error, ", ""))
    _annotate(folder, output or Path("annotation") / folder.resolve().name, annotation, binning, device, rebuild)


def _annotate(folder: Path, output: Path, annotation, binning, device: str, rebuild: bool) -> None:
    from parler_assets.resources.accelerator import taken
    from parler_assets.speech.annotate_folder import annotate_folder
    from parler_assets.speech.annotation.stage import AnnotatorError
    from parler_assets.speech.binning.edges import BinError
    from parler_assets.speech.sources.source import SourceError
    from parler_assets.storage import ShardError

    if output.resolve() == folder.resolve():
        _fail(f"{output}: is the folder of recordings itself; choose another --output")
    try:
        with taken(device, output / "locks") as where:
            done = annotate_folder(folder, output, annotation, binning, where, rebuild)
    except (AnnotatorError, SourceError, BinError, ShardError) as error:
        _fail(str(error))
    typer.echo(f"{done.clips} clips measured, {len(done.set_aside)} set aside")
    for name, path in (("Report", done.report), ("Tags", done.tags), ("Bins", done.bins), ("Edges", done.edges)):
        typer.echo(f"{name + ':':<8} {path}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
