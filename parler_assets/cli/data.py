"""Commands for a folder of recordings: draft a recipe for it, or only measure it, without Dagster or training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parler_assets.cli.options import DeviceOption, fail, held, typed

if TYPE_CHECKING:
    from parler_assets.recipe import Annotation, Binning

app = typer.Typer(add_completion=False)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="recordings, with metadata.csv: columns file_name and text")],
    name: Annotated[str | None, typer.Option(help="of the recipe and its corpus; default: the folder's")] = None,
    speaker: Annotated[str | None, typer.Option(help="who speaks, where the table has no speaker column")] = None,
    gender: Annotated[str | None, typer.Option(help="male or female: pitch is described relative to it")] = None,
) -> None:
    """Draft a recipe for your own recordings."""
    from parler_assets.hub.errors import SourceError
    from parler_assets.recipe import RecipeError, load_recipe
    from parler_assets.speech.sources.draft import OwnDataError, draft_recipe

    chosen = re.sub(r"[^a-z0-9]+", "_", (name or folder.resolve().name).lower()).strip("_")
    file = Path(f"{chosen}.yaml")
    if file.exists():
        fail(f"{file} exists already: remove it, or choose another --name")
    try:
        draft = draft_recipe(folder, chosen, Path.cwd(), speaker, gender)
    except (OwnDataError, SourceError) as error:
        fail(str(error))
    file.write_text(draft.text, encoding="utf-8")
    try:
        load_recipe(file)
    except RecipeError as error:
        file.unlink()
        fail(f"no recipe can be drafted from this folder; another --name may help. {error}")
    typer.echo(f"{file}: {draft.clips} clips, {draft.minutes} minutes, speakers {', '.join(draft.speakers)}")
    for remark in draft.remarks:
        typer.echo(f"  {remark}")
    typer.echo(f"Look it over, then: {typed(f'run --recipe {file}')}")


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
    device: DeviceOption = "auto",
    rebuild: Annotated[bool, typer.Option(help="measure again what is already there")] = False,
) -> None:
    """Measure and label every recording in a folder: tags, bins, plots and a report. A second call resumes."""
    from pydantic import ValidationError

    from parler_assets.recipe import Annotation, Binning

    chosen = {"era": era or ("b" if edges == "v02" else "a"), "pitch": pitch, "room": room, "quality": quality}
    try:
        annotation = Annotation.model_validate(chosen | {"phonemes": phonemes})
        binning = Binning(edges=edges, labels=labels)
    except ValidationError as error:
        problems = "; ".join(f"--{'.'.join(map(str, e['loc'])) or 'edges'}: {e['msg']}" for e in error.errors())
        fail(problems.replace("Value error, ", ""))
    measure(folder, output or Path("annotation") / folder.resolve().name, annotation, binning, device, rebuild)


def measure(folder: Path, output: Path, annotation: Annotation, binning: Binning, device: str, rebuild: bool) -> None:
    """Annotate the folder and say where results are."""
    from parler_assets.hub.errors import AnnotatorError, SourceError
    from parler_assets.speech.annotate_folder import annotate_folder
    from parler_assets.speech.binning.edges import BinError
    from parler_assets.storage import ShardError

    if output.resolve() == folder.resolve():
        fail(f"{output}: is the folder of recordings itself; choose another --output")
    try:
        with held(device) as where:
            done = annotate_folder(folder, output, annotation, binning, where, rebuild)
    except (AnnotatorError, SourceError, BinError, ShardError) as error:
        fail(str(error))
    typer.echo(f"{done.clips} clips measured, {len(done.set_aside)} set aside")
    for name, path in (("Report", done.report), ("Tags", done.tags), ("Bins", done.bins), ("Edges", done.edges)):
        typer.echo(f"{name + ':':<8} {path}")
