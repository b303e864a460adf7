"""The commands that materialize a recipe's graph, open its two UIs, and say where its results are."""

from __future__ import annotations

import html
import os
import webbrowser
from typing import Annotated

import typer

from parler_assets.cli.options import PortOption, Project, RecipeOption, fail, free_port, open_project, tool, typed

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
    if select == "*":
        show_results(project)
    else:
        typer.echo(f"Materialized {select}, run {outcome.run_id[:8]}")


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
    """Say where the listening report and the scorecard of the last run are."""
    project = open_project(recipe)
    show_results(project)
    if show:
        webbrowser.open((project.workspace.scorecard / "report.html").resolve().as_uri())


def show_results(project: Project) -> None:
    """What there is to hear, read and open."""
    folder, name = project.workspace.scorecard, project.recipe.name
    if not (folder / "scorecard.md").is_file():
        fail(f"nothing to show for {name} yet: `{typed(f'run --recipe {name}')}` makes it")
    typer.echo(f"\n{html.unescape((folder / 'scorecard.md').read_text(encoding='utf-8')).strip()}\n")
    lines = {
        "Listen": folder / "report.html",
        "Scorecard": folder / "scorecard.md",
        "Dagster UI": "make dev, then http://127.0.0.1:3000/asset-groups",
        "MLflow UI": "make mlflow, then http://127.0.0.1:5000",
        "Run history": project.home,
    }
    for label, value in lines.items():
        typer.echo(f"{label + ':':<12} {value}")
