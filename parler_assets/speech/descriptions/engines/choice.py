"""Which engine a recipe's `describing.engine` chooses, and which model exactly answers."""

from __future__ import annotations

import re
from pathlib import Path

from parler_assets.hub.revisions import RevisionError, settled_commit
from parler_assets.recipe import Describing
from parler_assets.recipe.places import content_of, is_folder
from parler_assets.speech.descriptions.engines.engine import Engine
from parler_assets.speech.descriptions.errors import DescriptionError


def open_engine(settings: Describing, cache: Path, device: str = "cpu") -> Engine:
    """The engine of a recipe, ready to answer. Heavy packages are imported here and no earlier."""
    if settings.engine == "transformers":
        from parler_assets.speech.descriptions.engines.local import TransformersEngine

        return TransformersEngine(settings, _revision(settings, cache), device)
    if settings.engine == "vllm":
        from parler_assets.speech.descriptions.engines.vllm_engine import VllmEngine

        return VllmEngine(settings, _revision(settings, cache), device)
    if settings.engine == "server":
        from parler_assets.speech.descriptions.engines.server import ServerEngine

        return ServerEngine(settings)
    raise DescriptionError(f"describing.engine {settings.engine} answers no prompts")


def model_identity(settings: Describing, cache: Path) -> str:
    """What the answers of a model depend on: Hub commit, the files of a folder, or a server and its model's name."""
    if settings.engine == "template":
        return "template"
    if settings.engine == "server":
        from parler_assets.speech.descriptions.engines.server import shown

        return f"{settings.model} at {shown(str(settings.url))}"
    folder = Path(str(settings.model))
    if _is_here(settings):
        return f"{folder.name} {content_of(folder)}"
    return f"{settings.model} {_revision(settings, cache)}"


def pinned(settings: Describing, cache: Path) -> Describing:
    """The settings with the commit of a model on the Hub in place of a branch, see `hub.revisions`.

    Raises:
        DescriptionError: the Hub cannot be reached and was never asked, or knows no such model.
    """
    if settings.engine not in ("transformers", "vllm") or _is_here(settings):
        return settings
    model = str(settings.model)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        raise DescriptionError(f"describing.model {model!r} is neither a folder nor a model on the Hub (owner/name)")
    try:
        commit = settled_commit(model, settings.revision, cache / "descriptions", "model")
    except RevisionError as error:
        raise DescriptionError(f"{error}; or give describing.model's commit or a folder") from None
    return settings.model_copy(update={"revision": commit})


def commits(settings: Describing) -> dict[str, str]:
    """Repository to commit of the model in settings that are pinned."""
    on_hub = settings.engine in ("transformers", "vllm") and not _is_here(settings)
    return {str(settings.model): settings.revision} if on_hub else {}


def _revision(settings: Describing, cache: Path) -> str | None:
    """The commit of a model on the Hub; None for a folder on this machine."""
    return None if _is_here(settings) else pinned(settings, cache).revision


def _is_here(settings: Describing) -> bool:
    return is_folder(settings.model)
