"""The command `parler-assets`: every command lives in a file of its own, thin."""

from __future__ import annotations

import io
import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from parler_assets.cli import compare, data, doctor, run, speak
from parler_assets.storage import disk

HELP = (
    "Materialize a recipe's graph, open its UIs, speak with its checkpoint, compare checkpoints. The Dagster UI does "
    "what run and sweep do; init, annotate, say, serve, compare, seeds and doctor are here only."
)
app = typer.Typer(no_args_is_help=True, add_completion=False, help=HELP, pretty_exceptions_enable=False)
for part in (run, data, doctor, speak, compare):
    app.add_typer(part.app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"parler-assets {metadata.version('parler-assets')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="of this package")
    ] = False,
) -> None:
    pass


def speak_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale is another: recipes, paths and texts are Unicode.

    What the terminal cannot show is then shown as `?`, and ends nothing.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return
    shown = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{sys.stdout.encoding}:replace"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | shown)


def main() -> None:
    """The command; what the disk did not take ends in a sentence, wherever it was written."""
    speak_utf8()
    try:
        app()
    except Exception as error:
        said = disk.sentence(error)
        if said is None:
            raise
        typer.echo(said, err=True)
        sys.exit(1)
