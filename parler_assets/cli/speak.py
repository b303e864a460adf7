"""Commands that speak with a finished checkpoint: say, serve."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parler_assets.cli.options import (
    CheckpointOption,
    DeviceOption,
    PrecisionOption,
    RecipeOption,
    checkpoint_folder,
    fail,
    finetuned,
    free_port,
    held,
    open_project,
)

if TYPE_CHECKING:
    from parler_assets.tts.serving.synthesizer import Synthesizer

app = typer.Typer(add_completion=False)
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
    precision: PrecisionOption = None,
) -> None:
    """Say a text with the fine-tuned checkpoint."""
    kind = format_of(output)
    from parler_assets.tts.serving.plan import Request
    from parler_assets.tts.serving.text import SayError

    said = sys.stdin.read() if text == "-" else text
    with loaded(recipe, checkpoint, device, precision) as synthesizer:
        asked = Request(said, voice or synthesizer.voices[0], style or synthesizer.plain, rate, description)
        try:
            spoken = synthesizer.speak(asked, seed)
        except SayError as error:
            fail(str(error))
    from parler_assets.speech.audio import encode

    output.write_bytes(encode(spoken.samples, spoken.rate, kind))
    typer.echo(f"{output}: {spoken.duration:.1f} s in {spoken.seconds:.1f} s, {spoken.description!r}")
    for remark in spoken.remarks:
        typer.echo(f"  {remark}", err=True)


@app.command()
def serve(
    recipe: RecipeOption = None,
    checkpoint: CheckpointOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    host: Annotated[
        str, typer.Option(help="whom to answer; other than 127.0.0.1 opens it to the network")
    ] = "127.0.0.1",
    allow_host: Annotated[list[str] | None, typer.Option(help="another name the server is reached by")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="a site whose pages may ask, such as https://studio.example")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
) -> None:
    """Answer OpenAI's speech requests: /v1/audio/speech, /v1/audio/voices, /health."""
    from parler_assets.web.guard import PolicyError, policy_for

    try:
        policy = policy_for(allow_host or [], allow_origin or [], bound=host)
    except PolicyError as error:
        fail(str(error))
    free_port(port, "serve")
    with loaded(recipe, checkpoint, device, precision) as synthesizer:
        from parler_assets.tts.serving.app import serve as answer

        answer(synthesizer, host, port, policy)


def format_of(output: Path) -> str:
    """The audio format that a file's suffix names, and whether it can be written: asked before anything is computed."""
    kind = SUFFIXES.get(output.suffix.lower())
    if kind is None:
        fail(f"{output}: ends in none of {', '.join(SUFFIXES)}: choose the format by its suffix")
    folder = output.parent
    if not folder.is_dir():
        fail(f"{output}: there is no folder {folder}: make it, or choose another")
    if output.is_dir() or not os.access(output if output.exists() else folder, os.W_OK):
        fail(f"{output}: cannot be written: choose another file")
    return kind


@contextmanager
def loaded(
    recipe: str | None, checkpoint: Path | None, device: str, precision: str | None = None
) -> Iterator[Synthesizer]:
    """A loaded checkpoint that speaks as the recipe says; the device is held while it is in use."""
    project = open_project(recipe)
    settings = project.recipe.evaluation
    if precision:
        settings = settings.model_copy(update={"precision": precision})
    folder = checkpoint_folder(checkpoint) if checkpoint else finetuned(project.workspace)
    from parler_assets.speech.codec.codec import CodecError
    from parler_assets.tts.base import BaseError, validate_base
    from parler_assets.tts.model.loading import CheckpointError
    from parler_assets.tts.model.tokenizers import TokenizerError
    from parler_assets.tts.serving.synthesizer import load_synthesizer
    from parler_assets.tts.synthesis.voice import BrokenCheckpoint

    with held(device) as where:
        try:
            validate_base(folder)
            yield load_synthesizer(folder, settings, project.recipe.describing, where)
        except (
            BaseError,
            BrokenCheckpoint,
            CheckpointError,
            CodecError,
            TokenizerError,
        ) as error:
            fail(str(error))
