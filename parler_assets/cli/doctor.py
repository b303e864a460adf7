"""What could keep a recipe from running on this machine: each finding with its remedy."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import typer

from parler_assets.cli.options import RecipeOption, choose, project_in, typed
from parler_assets.recipe import Corpus, FolderSource, HubSource, PublishedDescriptions, Recipe
from parler_assets.recipe.places import is_folder
from parler_assets.recipe.training import NOT_STATED

app = typer.Typer(add_completion=False)
NAMED = ("torch", "transformers", "datasets", "dagster", "mlflow", "vllm")
NEEDED_GB = {"own": 2, "hub": 60}  # a Hub corpus such as Expresso with its copy as shards, codes and checkpoints


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is empty where nothing is wrong."""

    name: str
    found: str
    remedy: str = ""


@app.command()
def doctor(recipe: RecipeOption = None) -> None:
    """Look for what could keep the recipe from running here, and say what to do about it."""
    chosen = choose(recipe)
    from parler_assets.cli.instance import home_folder

    home, wrong = home_folder(), 0
    for finding in examine(chosen, home, project_in(home).workspace.data, {"dev": 3000, "mlflow": 5000}):
        typer.echo(f"{'!' if finding.remedy else '✓'} {finding.name:<14} {finding.found}")
        if finding.remedy:
            wrong += 1
            typer.echo(f"  {'':<14} {finding.remedy}")
    raise typer.Exit(1 if wrong else 0)


def examine(recipe: Recipe, home: Path, data: Path, ports: dict[str, int]) -> Iterator[Finding]:
    """Everything, cheapest first; a look that fails itself becomes a finding."""
    looks: list[Callable[[], Finding | list[Finding]]] = [
        python,
        packages,
        lambda: dagster_home(home),
        lambda: [port(name, number) for name, number in ports.items()],
        lambda: disk(recipe, data),
        accelerator,
        lambda: memory(recipe),
        lambda: licences(recipe),
        lambda: languages(recipe),
        lambda: hub(recipe),
    ]
    for look in looks:
        try:
            found = look()
        except Exception as error:
            found = Finding("doctor", f"a look failed: {error}", "please report this")
        yield from found if isinstance(found, list) else [found]


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("Python", version, "" if fits else "use 3.11, 3.12 or 3.13: PYTHON=python3.12 make run")


def packages() -> Finding:
    versions = []
    for name in NAMED:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    broken = [name for name in ("torchaudio", "torchvision", "torchcodec") if _installed(name)]
    remedy = f"uninstall {', '.join(broken)}: beside a CPU torch they break transformers" if broken else ""
    return Finding("packages", ", ".join(versions), "" if _cuda_build() else remedy)


def dagster_home(home: Path) -> list[Finding]:
    """Whether runs can be recorded there, and the GPU's slots."""
    from parler_assets.cli.instance import HomeError, ensure_dagster_home, explained

    os.environ["DAGSTER_HOME"] = str(home)
    try:
        ensure_dagster_home()
        with explained(home):
            return [Finding("DAGSTER_HOME", str(home)), slots(home)]
    except HomeError as error:
        return [Finding("DAGSTER_HOME", str(home), str(error))]


def slots(home: Path) -> Finding:
    """Slots of the GPU pool that are held by runs which have ended, or whose process was killed."""
    from parler_assets.cli.instance import dead_runs, instance_in

    with instance_in(home) as instance:
        held = instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
        runs = {slot.run_id: instance.get_run_by_id(slot.run_id) for slot in held}
        dead = {run.run_id for run in dead_runs(instance)}
        leaked = [name[:8] for name, run in runs.items() if run is None or run.is_finished or name in dead]
    if leaked:
        remedy = f"free it in the UI under Deployment > Concurrency, or run `{typed('run')}`, which does"
        return Finding("GPU slots", f"{len(leaked)} held by ended runs {', '.join(leaked)}", remedy)
    return Finding("GPU slots", f"{len(held)} in use")


def port(name: str, number: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            if _ours(name, number):
                return Finding(f"port {number}", f"`parler-assets {name}` runs there")
            return Finding(
                f"port {number}", "taken", f"end what uses it, or `parler-assets {name} --port {number + 1}`"
            )
    return Finding(f"port {number}", "free")


def _ours(name: str, number: int) -> bool:
    """Whether the UI of this name answers there."""
    answers = {"dev": ("server_info", "dagster_webserver_version"), "mlflow": ("version", metadata.version("mlflow"))}
    path, word = answers[name]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/{path}", timeout=2) as answer:
            return word in answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return False


def disk(recipe: Recipe, data: Path) -> Finding:
    place = next(folder for folder in (data.resolve(), *data.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    from_hub = any(isinstance(corpus.source, HubSource) for corpus in recipe.corpora.values())
    needed = NEEDED_GB["hub" if from_hub else "own"]
    remedy = "" if free > needed else f"about {needed} GB are needed: free some, or set PARLER_DATA to a larger disk"
    return Finding("disk", f"{free:.0f} GB free in {place}", remedy)


def accelerator() -> Finding:
    from parler_assets.resources.accelerator import gpus

    if gpus():
        import torch

        cards = [torch.cuda.get_device_properties(index) for index in range(gpus())]
        return Finding("GPU", ", ".join(f"{card.name}, {card.total_memory / 1e9:.0f} GB" for card in cards))
    driver = shutil.which("nvidia-smi") is not None
    remedy = "torch is built without CUDA: remove .venv and run make again" if driver and not _cuda_build() else ""
    return Finding("GPU", "none: everything runs on the CPU", remedy)


def memory(recipe: Recipe) -> Finding:
    """A recipe made for a GPU takes weeks without one."""
    from parler_assets.resources.accelerator import gpus

    if recipe.training.precision == "bfloat16" and not gpus():
        return Finding("training", "bfloat16, but there is no GPU", "run this recipe on a machine with one")
    return Finding("training", f"{recipe.training.precision} on {'the GPU' if gpus() else 'the CPU'}")


def licences(recipe: Recipe) -> Finding:
    stated = {name: corpus.source.licence for name, corpus in recipe.corpora.items()}
    stated["the base"] = None if recipe.base.terms == NOT_STATED else recipe.base.terms
    unknown = [name for name, licence in stated.items() if not licence]
    if unknown:
        remedy = "state source.licence or base.licence in the recipe; it may be used, but no checkpoint released"
        return Finding("licences", f"unknown for {', '.join(unknown)}", remedy)
    return Finding("licences", ", ".join(dict.fromkeys(map(str, stated.values()))))


def languages(recipe: Recipe) -> Finding:
    """Whether the languages of the corpora have phonemes, and folders with tables letters that the base knows."""
    from parler_assets.hub.errors import AnnotatorError, SourceError
    from parler_assets.recipe.spellings import is_english
    from parler_assets.sample import base_path
    from parler_assets.speech.annotation.espeak import check_language
    from parler_assets.tts.data.coverage import MULTILINGUAL, letters_of

    spoken = ", ".join(dict.fromkeys(corpus.language for corpus in recipe.corpora.values()))
    try:
        for corpus in recipe.corpora.values():
            if corpus.annotated_here and not is_english(corpus.language):
                check_language(corpus.language)
    except AnnotatorError as error:
        return Finding("languages", spoken, str(error))
    folder = recipe.base.path or (None if recipe.base.repo else base_path())
    for name, corpus in recipe.corpora.items():
        if folder is None or not isinstance(corpus.source, FolderSource):
            continue
        try:
            unfit = letters_of(folder).unfit(_texts_of(corpus))
        except SourceError as error:
            return Finding("languages", f"{name}: its table cannot be read", str(error))
        if unfit:
            remedy = f"name a base that knows these texts, such as base: {{repo: {MULTILINGUAL}}}"
            return Finding("languages", f"{name}: the base has no token for {unfit!r}", remedy)
    return Finding("languages", spoken)


def _texts_of(corpus: Corpus) -> list[str]:
    from parler_assets.speech.sources.folder import FolderCorpus, open_folder
    from parler_assets.speech.text import spoken_form

    opened = open_folder(corpus.source) if isinstance(corpus.source, FolderSource) else None
    texts = [row.text for row in opened.rows] if isinstance(opened, FolderCorpus) else []
    return [spoken_form(text, corpus.language) for text in texts] if corpus.spoken_form else texts


def hub(recipe: Recipe) -> list[Finding]:
    """Whether every repository of the recipe may be read: it exists, and its terms were accepted."""
    wanted = {(c.source.repo, "dataset") for c in recipe.corpora.values() if isinstance(c.source, HubSource)}
    texts = [c.descriptions for c in recipe.corpora.values() if isinstance(c.descriptions, PublishedDescriptions)]
    wanted |= {(published.repo, "dataset") for published in texts if published.repo}
    local = recipe.describing.engine in ("transformers", "vllm")
    models = [recipe.base.repo, recipe.describing.model if local else None]
    wanted |= {(name, "model") for name in models if name and not is_folder(name)}
    if not wanted:
        return [Finding("Hub", "not needed by this recipe")]
    return [_readable(repo, kind) for repo, kind in sorted(wanted)]


def _readable(repo: str, kind: str) -> Finding:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        HfApi().auth_check(repo, repo_type=kind)
    except GatedRepoError:
        return Finding("Hub", f"{repo}: gated", "accept its terms on its page, and set HF_TOKEN to your token")
    except RepositoryNotFoundError:
        return Finding("Hub", f"{repo}: no such {kind}, or private", "correct the recipe, or set HF_TOKEN")
    except Exception as error:
        return Finding(
            "Hub", f"{repo}: {type(error).__name__}", "no connection to the Hub: check network and HF_ENDPOINT"
        )
    return Finding("Hub", f"{repo}: may be read")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _cuda_build() -> bool:
    import torch

    return torch.version.cuda is not None
