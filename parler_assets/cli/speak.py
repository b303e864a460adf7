"""Commands around a finished checkpoint: say, serve, compare, sweep."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from parler_assets.recipe import Recipe
    from parler_assets.resources.workspace import Workspace
    from parler_assets.tts.serving.synthesizer import Sayer

app = typer.Typer(add_completion=False)
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", "-r", help="sample, expresso or a file; default: PARLER_RECIPE or sample")
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="folder of a checkpoint; default: the recipe's fine-tuned one")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")]
SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".ogg": "OGG"}


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="what to say; - reads standard input")],
    voice: Annotated[str | None, typer.Option("--voice", "-v", help="a speaker; default: the recipe's first")] = None,
    style: Annotated[str | None, typer.Option("--style", "-s", help="default: `default`")] = None,
    rate: Annotated[str, typer.Option(help="such as 'quite fast'")] = "moderate speed",
    description: Annotated[str | None, typer.Option(help="a whole description, instead of style and rate")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="wav, flac, mp3 or ogg")] = Path("speech.wav"),
    seed: Annotated[int | None, typer.Option(help="another seed, another take")] = None,
    recipe: RecipeOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Say a text with the fine-tuned checkpoint."""
    kind = SUFFIXES.get(output.suffix.lower())
    if kind is None:
        _fail(f"{output}: ends in none of {', '.join(SUFFIXES)}: choose the format by its suffix")
    from parler_assets.tts.serving.synthesizer import Request, SayError

    said = sys.stdin.read() if text == "-" else text
    with _sayer(recipe, checkpoint, device) as sayer:
        asked = Request(said, voice or sayer.voices[0], style or sayer.plain, rate, description)
        try:
            spoken = sayer.speak(asked, seed)
        except SayError as error:
            _fail(str(error))
    from parler_assets.speech.audio import encode

    output.write_bytes(encode(spoken.samples, spoken.rate, kind))
    typer.echo(f"{output}: {spoken.duration:.1f} s in {spoken.seconds:.1f} s, {spoken.description!r}")
    for remark in spoken.remarks:
        typer.echo(f"  {remark}", err=True)


@app.command()
def serve(
    recipe: RecipeOption = None,
    checkpoint: CheckpointOption = None,
    port: int = 8000,
    host: Annotated[
        str, typer.Option(help="whom to answer; other than 127.0.0.1 opens it to the network")
    ] = "127.0.0.1",
    allow_host: Annotated[list[str] | None, typer.Option(help="another name the server is reached by")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="a site whose pages may ask, such as https://studio.example")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Answer OpenAI's speech requests: /v1/audio/speech, /v1/audio/voices, /health."""
    from parler_assets.cli.app import _free_port
    from parler_assets.web.guard import PolicyError, policy_for

    try:
        policy = policy_for(allow_host or [], allow_origin or [], bound=host)
    except PolicyError as error:
        _fail(str(error))
    _free_port(port, "serve")
    with _sayer(recipe, checkpoint, device) as sayer:
        from parler_assets.tts.serving.app import serve as answer

        answer(sayer, host, port, policy)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="folder of a checkpoint, or of a scorecard")],
    second: Annotated[Path, typer.Argument(help="the same kind of folder")],
    recipe: RecipeOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Say where one checkpoint is better than another: paired differences on the same prompts and seeds."""
    from parler_assets.tts.scoring.compare import CompareError, compare_scorecards

    if all((folder / "samples.jsonl").is_file() for folder in (first, second)):
        try:
            typer.echo(compare_scorecards(first, second).markdown())
        except CompareError as error:
            _fail(str(error))
        return
    for folder in (first, second):
        if not (folder / "config.json").is_file():
            _fail(f"{folder}: neither a checkpoint (config.json) nor a scorecard (samples.jsonl)")
    with _built(recipe, device) as (chosen, workspace, built, where):
        from parler_assets.tts.base import checkpoint_digest
        from parler_assets.tts.experiments.evaluate import compare_checkpoints

        folder = workspace.root / "comparisons" / f"{checkpoint_digest(first)}-{checkpoint_digest(second)}"
        typer.echo(compare_checkpoints(first, second, built, folder, chosen, where).markdown())
        typer.echo(f"Listen: {folder / 'scorecard' / 'report.html'}")


@app.command()
def sweep(recipe: RecipeOption = None, device: DeviceOption = "auto") -> None:
    """Train every variant of the recipe's training, score each, and print one table; UI and MLflow show it too."""
    chosen, workspace, _ = _opened(recipe)
    if not chosen.training.variants:
        _fail("training.variants is empty: name at least one in the recipe, with the settings it changes")
    from parler_assets.cli.materialize import materialize
    from parler_assets.tts.experiments.sweep import TABLE

    outcome = materialize(job="sweep_variants", device=device)
    if not outcome.success:
        _fail(outcome.explain())
    typer.echo((workspace.sweep / TABLE).read_text(encoding="utf-8"))
    typer.echo(f"MLflow's candidate: {workspace.recall(workspace.sweep).get('candidate', 'not recorded')}")


def _opened(recipe: str | None) -> tuple[Recipe, Workspace, Any]:
    from parler_assets.cli.app import _prepare

    _prepare(recipe)
    from parler_assets.definitions import defs
    from parler_assets.definitions import recipe as chosen

    resources: dict[str, Any] = dict(defs.resources or {})
    return chosen, resources["workspace"], resources["accelerator"]


@contextmanager
def _device(wanted: str, workspace: Workspace) -> Iterator[str]:
    from parler_assets.resources.accelerator import taken

    with taken(wanted, workspace.data / "locks") as device:
        yield device


@contextmanager
def _sayer(recipe: str | None, checkpoint: Path | None, device: str) -> Iterator[Sayer]:
    """A loaded checkpoint that speaks as the recipe says; the device is held while it is in use."""
    chosen, workspace, _ = _opened(recipe)
    folder = checkpoint or _finetuned(workspace)
    from parler_assets.tts.base import BaseError, validate_base
    from parler_assets.tts.serving.synthesizer import load_sayer

    try:
        validate_base(folder)
    except BaseError as error:
        _fail(str(error))
    from parler_assets.tts.synthesis.voice import BrokenCheckpoint

    with _device(device, workspace) as where:
        try:
            yield load_sayer(folder, chosen.evaluation, chosen.describing, where)
        except BrokenCheckpoint as error:  # on loading, or what `say` asked of it
            _fail(str(error))


def _finetuned(workspace: Workspace) -> Path:
    found = workspace.remembered(workspace.finetuned_checkpoint).get("checkpoint")
    if not found:
        _fail(f"no fine-tuned checkpoint in {workspace.root} yet: run the recipe, or give --checkpoint FOLDER")
    return Path(found)


@contextmanager
def _built(recipe: str | None, device: str) -> Iterator[tuple[Any, Any, Any, str]]:
    """Recipe, workspace, the finished stages an evaluation reads, and the device."""
    chosen, workspace, _ = _opened(recipe)
    from parler_assets.storage import ShardError, read_manifest
    from parler_assets.tts.experiments.evaluate import Built

    base = workspace.remembered(workspace.base_checkpoint).get("path")
    try:
        read_manifest(workspace.training_set)
    except ShardError as error:
        _fail(f"{error}: `parler-assets run --select 'group:training'` makes what an evaluation needs")
    raw = {name: workspace.lane(name, "raw_dataset") for name in chosen.corpora}
    bins = {name: workspace.lane(name, "text_bins") for name, corpus in chosen.corpora.items() if corpus.written}
    with _device(device, workspace) as where:
        built = Built(workspace.training_set, Path(base or os.devnull), raw, bins, workspace.scorecard / "probes")
        yield chosen, workspace, built, where


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
