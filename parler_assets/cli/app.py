"""The command `parler-assets`: every command lives in a file of its own, thin; nearly all they do is also in the UI."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from parler_assets.cli import compare, data, doctor, run, speak

HELP = "Materialize a recipe's graph, open its UIs, speak with its checkpoint, compare checkpoints."
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


def main() -> None:
    app()
