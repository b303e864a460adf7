"""What commands share: options, how they end with a message, and how they open a recipe, its workspace and a device."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from parler_assets.tracking.results import remembered

if TYPE_CHECKING:
    from parler_assets.recipe import Recipe
    from parler_assets.resources.tracking import Tracking
    from parler_assets.resources.workspace import Workspace
    from parler_assets.tts.experiments.evaluate import StageOutputs

RecipeOption = Annotated[
    str | None, typer.Option("--recipe", "-r", help="sample, expresso or a file; default: PARLER_RECIPE or sample")
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="folder of a checkpoint; default: the recipe's fine-tuned one")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    typer.Option(help="of speaking; default: the recipe's, else what the machine has"),
]
PortOption = Annotated[int, typer.Option(min=1, max=65535)]


def fail(message: str) -> NoReturn:
    """End the command with a sentence on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


@dataclass(frozen=True)
class Project:
    """A recipe with its workspace and its record, ready to be worked with; `home` is DAGSTER_HOME."""

    recipe: Recipe
    workspace: Workspace
    tracking: Tracking
    home: Path


def choose(recipe: str | None) -> Recipe:
    """The recipe, checked, and chosen for whatever this process loads or starts; else the end, with its remedy."""
    from parler_assets.recipe import RecipeError, load_recipe

    if recipe:
        os.environ["PARLER_RECIPE"] = str(Path(recipe).resolve()) if Path(recipe).is_file() else recipe
    try:
        return load_recipe()
    except RecipeError as error:
        fail(str(error))


def open_project(recipe: str | None) -> Project:
    """Choose the recipe and see to it that there is a DAGSTER_HOME to record in."""
    choose(recipe)
    from parler_assets.cli.instance import HomeError, ensure_dagster_home

    try:
        home = ensure_dagster_home()
    except HomeError as error:
        fail(str(error))
    return project_in(home)


def project_in(home: Path) -> Project:
    """The chosen recipe's project."""
    from parler_assets.definitions import defs, recipe

    resources = dict(defs.resources or {})
    return Project(recipe, resources["workspace"], resources["tracking"], home)


@contextmanager
def held(wanted: str, cards: int | None = 1) -> Iterator[str]:
    """The device of a command, its cards locked as those of Dagster's steps are."""
    from parler_assets.resources.accelerator import DeviceError, acquire

    try:
        with acquire(wanted, cards) as device:
            yield device
    except DeviceError as error:
        fail(str(error))


def finetuned(workspace: Workspace) -> Path:
    """The recipe's own checkpoint."""
    found = remembered(workspace.finetuned_checkpoint).get("checkpoint")
    if not found:
        fail(f"no fine-tuned checkpoint in {workspace.root} yet: run the recipe, or give --checkpoint FOLDER")
    return Path(found)


def checkpoint_folder(folder: Path) -> Path:
    """A checkpoint that the user named."""
    if not (folder / "config.json").is_file():
        fail(f"{folder}: not a checkpoint (it has no config.json): give the folder that has one")
    return folder


def finished_stages(project: Project) -> StageOutputs:
    """The finished stages that an evaluation reads."""
    from parler_assets.assets.sweep import built_stages
    from parler_assets.storage import ShardError, read_manifest

    try:
        read_manifest(project.workspace.training_set)
    except ShardError as error:
        command = typed("run --select 'group:training'")
        fail(f"{error}: `{command}` makes what an evaluation needs")
    return built_stages(project.recipe, project.workspace)


def free_port(port: int, command: str) -> None:
    """End the command where something else listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            other = typed(f"{command} --port {port + 1}")
            fail(f"port {port} is taken: stop what uses it, or `{other}`")


def tool(name: str) -> str:
    """A command of this environment, whether or not it is activated."""
    return str(Path(sys.executable).with_name(name))


def typed(arguments: str) -> str:
    """A command line of this program as it works in the current folder, whether or not the environment is activated."""
    program = Path(tool("parler-assets"))
    if shutil.which(program.name) == str(program):
        return f"{program.name} {arguments}"
    here = Path.cwd()
    shown = str(program.relative_to(here) if program.is_relative_to(here) else program)
    return f"{shlex.quote(shown)} {arguments}"


def chosen_recipe() -> str:
    """The option that names this process's recipe again, quoted for a shell; empty where it is the default one."""
    chosen = os.environ.get("PARLER_RECIPE", "sample")
    if chosen == "sample":
        return ""
    file, here = Path(chosen), Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    return f" --recipe {shlex.quote(str(shown))}"
