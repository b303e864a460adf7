"""The command line: thin; everything it does is also in the UI."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from parler_assets.cli.compare import app as seeds_command
from parler_assets.cli.data import app as annotate_command
from parler_assets.cli.speak import app as speech_commands

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", "-r", help="sample, expresso or a file; default: PARLER_RECIPE or sample")
]


@app.command()
def run(
    recipe: RecipeOption = None,
    select: Annotated[str, typer.Option(help="assets, such as 'group:studio' or 'key:scorecard'")] = "*",
    rebuild: Annotated[bool, typer.Option(help="compute again what is there and up to date")] = False,
) -> None:
    """Materialize the recipe's whole graph, in this process, and say what to open."""
    home = _prepare(recipe)
    from parler_assets.cli.materialize import materialize

    outcome = materialize(select, rebuild)
    if not outcome.success:
        _fail(outcome.explain())
    if select == "*":
        _closing(home)
    else:
        typer.echo(f"Materialized {select}, run {outcome.run_id[:8]}")


@app.command()
def dev(
    recipe: RecipeOption = None,
    port: int = 3000,
    allow_host: Annotated[list[str] | None, typer.Option(help="another name the page is reached by")] = None,
) -> None:
    """The Dagster UI with its daemon, on this machine only, behind a guard that keeps other sites' pages out."""
    home = _prepare(recipe)
    from dotenv import dotenv_values

    from parler_assets.resources.workspace import PROJECT, project_folder
    from parler_assets.web.dev import DevError, run_dev

    _free_port(port, "dev")
    own = {name: value for name, value in dotenv_values(PROJECT / ".env").items() if value is not None}
    try:
        run_dev(port, project_folder(), {**own, **os.environ, "DAGSTER_HOME": str(home)}, allow_host or [])
    except DevError as error:
        _fail(str(error))


@app.command()
def mlflow(recipe: RecipeOption = None, port: int = 5000) -> None:
    """The MLflow UI over the recipe's runs, on this machine only."""
    _prepare(recipe)
    from parler_assets.definitions import defs

    _free_port(port, "mlflow")
    resources = defs.resources or {}
    uri = resources["tracking"].store(resources["workspace"]).uri
    # not an argument: those are seen by everyone on the machine, and the address may hold a password
    os.environ |= {"MLFLOW_BACKEND_STORE_URI": uri, "PYTHONSAFEPATH": "1"}
    command = [_tool("mlflow"), "ui", "--host", "127.0.0.1", "--port", str(port)]
    os.execv(command[0], [*command, "--workers", "1"])


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="recordings, with metadata.csv: columns file_name and text")],
    name: Annotated[str | None, typer.Option(help="of the recipe and its corpus; default: the folder's")] = None,
    speaker: Annotated[str | None, typer.Option(help="who speaks, where the table has no speaker column")] = None,
    gender: Annotated[str | None, typer.Option(help="male or female: pitch is described relative to it")] = None,
) -> None:
    """Draft a recipe for your own recordings."""
    from parler_assets.recipe import load_recipe
    from parler_assets.speech.sources.draft import OwnDataError, draft_recipe
    from parler_assets.speech.sources.source import SourceError

    chosen = re.sub(r"[^a-z0-9]+", "_", (name or folder.resolve().name).lower()).strip("_")
    file = Path(f"{chosen}.yaml")
    if file.exists():
        _fail(f"{file} exists already: remove it, or choose another --name")
    try:
        draft = draft_recipe(folder, chosen, Path.cwd(), speaker, gender)
    except (OwnDataError, SourceError) as error:
        _fail(str(error))
    file.write_text(draft.text, encoding="utf-8")
    load_recipe(file)
    typer.echo(f"{file}: {draft.clips} clips, {draft.minutes} minutes, speakers {', '.join(draft.speakers)}")
    for remark in draft.remarks:
        typer.echo(f"  {remark}")
    typer.echo(f"Look it over, then: parler-assets run --recipe {file}")


@app.command()
def doctor(recipe: RecipeOption = None) -> None:
    """Look for what could keep the recipe from running here, and say what to do about it."""
    home = _prepare(recipe)
    from parler_assets.cli.doctor import examine
    from parler_assets.definitions import defs
    from parler_assets.definitions import recipe as chosen

    wrong = 0
    for finding in examine(chosen, home, (defs.resources or {})["workspace"].data, {"dev": 3000, "mlflow": 5000}):
        typer.echo(f"{'!' if finding.remedy else '✓'} {finding.name:<14} {finding.found}")
        if finding.remedy:
            wrong += 1
            typer.echo(f"  {'':<14} {finding.remedy}")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def report(recipe: RecipeOption = None) -> None:
    """Say where the listening report and the scorecard of the last run are."""
    _closing(_prepare(recipe))


def _prepare(recipe: str | None) -> Path:
    """Choose the recipe, check it, settle DAGSTER_HOME; a recipe that cannot be used ends here with its remedy."""
    from parler_assets.recipe import RecipeError, load_recipe

    if recipe:
        os.environ["PARLER_RECIPE"] = str(Path(recipe).resolve()) if Path(recipe).is_file() else recipe
    try:
        load_recipe()
    except RecipeError as error:
        _fail(str(error))
    from parler_assets.cli.instance import settle

    return settle()


def _closing(home: Path) -> None:
    """What there is to hear, read and open."""
    from parler_assets.definitions import defs, recipe

    workspace = (defs.resources or {})["workspace"]
    samples, scorecard = workspace.scorecard / "report.html", workspace.scorecard / "scorecard.md"
    if not scorecard.is_file():
        _fail(f"nothing to show for {recipe.name} yet: `parler-assets run --recipe {recipe.name}` makes it")
    typer.echo(f"\n{scorecard.read_text(encoding='utf-8').strip()}\n")
    lines = {
        "Listen": samples,
        "Scorecard": scorecard,
        "Dagster UI": "make dev, then http://127.0.0.1:3000/asset-groups",
        "MLflow UI": "make mlflow, then http://127.0.0.1:5000",
        "Run history": home,
    }
    for name, value in lines.items():
        typer.echo(f"{name + ':':<12} {value}")


def _free_port(port: int, command: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            _fail(f"port {port} is taken: stop what uses it, or `parler-assets {command} --port {port + 1}`")


def _tool(name: str) -> str:
    """A command of this environment, whether or not it is activated."""
    return str(Path(sys.executable).with_name(name))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


app.add_typer(annotate_command)
app.add_typer(speech_commands)
app.add_typer(seeds_command)


def main() -> None:
    app()
