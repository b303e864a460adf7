"""The commands that materialize a recipe's graph, open its two UIs, and say where its results are."""

from __future__ import annotations

import os
import shlex
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from parler_assets.cli.options import (
    PortOption,
    Project,
    RecipeOption,
    chosen_recipe,
    fail,
    free_port,
    open_project,
    tool,
    typed,
)

app = typer.Typer(add_completion=False)


@app.command()
def run(
    recipe: RecipeOption = None,
    select: Annotated[str, typer.Option(help="assets, such as 'group:studio' or 'key:scorecard'")] = "*",
    rebuild: Annotated[bool, typer.Option(help="compute again what is there and up to date")] = False,
) -> None:
    """Materialize the recipe's whole graph, in this process, and say what to open."""
    project = open_project(recipe)
    from parler_assets.cli.materialize import materialize_or_fail

    outcome = materialize_or_fail(select, rebuild)
    typer.echo(f"Run {outcome.run_id[:8]}: {outcome.total}")
    if select == "*":
        show_results(project)


@app.command()
def dev(
    recipe: RecipeOption = None,
    port: PortOption = 3000,
    allow_host: Annotated[list[str] | None, typer.Option(help="another name the page is reached by")] = None,
) -> None:
    """The Dagster UI with its daemon, on this machine only, behind a guard that keeps other sites' pages out."""
    project = open_project(recipe)
    from dotenv import dotenv_values

    from parler_assets.resources.workspace import PROJECT, project_folder
    from parler_assets.web.dev import DevError, run_dev

    free_port(port, "dev")
    project_folder().mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in dotenv_values(PROJECT / ".env").items() if value is not None}
    try:
        run_dev(port, project_folder(), {**own, **os.environ, "DAGSTER_HOME": str(project.home)}, allow_host or [])
    except DevError as error:
        fail(str(error))


@app.command()
def mlflow(recipe: RecipeOption = None, port: PortOption = 5000) -> None:
    """The MLflow UI over the recipe's runs, on this machine only."""
    project = open_project(recipe)
    from parler_assets.tracking.store import TrackingError, explained

    free_port(port, "mlflow")
    store = project.tracking.store(project.workspace)
    try:
        with explained(store.uri):
            store.prepare()
    except TrackingError as error:
        fail(str(error))
    # the address is no argument: those are seen by everyone on the machine, and it may hold a password
    os.environ |= {"MLFLOW_BACKEND_STORE_URI": store.uri, "PYTHONSAFEPATH": "1"}
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes that nothing here needs
    command = [tool("mlflow"), "ui", "--host", "127.0.0.1", "--port", str(port)]
    os.execv(command[0], [*command, "--workers", "1"])


@app.command()
def report(
    recipe: RecipeOption = None,
    show: Annotated[bool, typer.Option("--open", help="open the listening report in the browser")] = False,
) -> None:
    """Say how the last run's checkpoint does, and where its listening report and scorecard are."""
    project = open_project(recipe)
    show_results(project)
    if show:
        webbrowser.open((project.workspace.scorecard / "report.html").resolve().as_uri())


def show_results(project: Project) -> None:
    """The verdict, and what there is to hear, read and open."""
    from parler_assets.tts.report.verdict import WIDTH, verdict_lines
    from parler_assets.tts.scoring.stage import read_scorecard

    folder = project.workspace.scorecard
    card = read_scorecard(folder)
    if card is None:
        fail(f"nothing to show for {project.recipe.name} yet: `{typed('run' + chosen_recipe())}` makes it")
    lines = {
        "Listen": folder / "report.html",
        "All scores": folder / "scorecard.md",
        "Say something": say_command(project, folder),
        "Look closer": f"{typed('dev' + chosen_recipe())} (Dagster), {typed('mlflow' + chosen_recipe())}",
    }
    typer.echo(
        "\n".join(["", *verdict_lines(card), *(f"{what + ':':<{WIDTH}}{where}" for what, where in lines.items())])
    )


def say_command(project: Project, scorecard: Path) -> str:
    """A command that speaks a text of the evaluation with a voice and style of the recipe."""
    from parler_assets.tts.scoring.table import read_lines

    rows = read_lines(scorecard / "samples.jsonl")
    told = project.recipe.evaluation
    usual = {"speaker": told.speakers[0], "style": told.styles[0], "text": "Good morning."}
    grid = [row for row in rows if row["kind"] == "grid" and not row["text"].startswith("-")]
    asked = min(grid, key=lambda row: len(row["text"]), default=usual)
    words = ["say", asked["text"], "--voice", asked["speaker"], "--style", asked["style"]]
    return typed(shlex.join(words) + chosen_recipe())
