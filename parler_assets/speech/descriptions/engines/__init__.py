"""Engines that answer prompts with text, behind one interface: the recipe's `describing.engine` chooses one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.errors import DescriptionError

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"description": {"type": "string"}},
    "required": ["description"],
    "additionalProperties": False,
}
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Request:
    """One question: chat messages, the seed it is sampled with, and the key its answer is kept under."""

    key: str
    messages: Messages
    seed: int


class Engine(Protocol):
    """Answers requests. The same request is given the same answer, whatever it is asked together with."""

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        """Key to text, some at a time as they are finished, in any order.

        Raises:
            DescriptionError: the engine cannot go on; what was yielded is finished.
        """

    def close(self) -> None:
        """Give back what the engine holds: processes, GPU memory, connections."""


def open_engine(settings: Describing, cache: Path, device: str = "cpu") -> Engine:
    """The engine of a recipe, ready to answer. Heavy packages are imported here and no earlier."""
    if settings.engine == "transformers":
        from parler_assets.speech.descriptions.engines.local import TransformersEngine

        return TransformersEngine(settings, pinned(settings, cache), device)
    if settings.engine == "vllm":
        from parler_assets.speech.descriptions.engines.vllm_engine import VllmEngine

        return VllmEngine(settings, pinned(settings, cache), device)
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
    if folder.is_dir():
        return f"{folder.name} {_folder_digest(folder)}"
    return f"{settings.model} {pinned(settings, cache)}"


def pinned(settings: Describing, cache: Path) -> str | None:
    """The commit of a model on the Hub: a branch is asked for once, then kept in `cache/descriptions/pins.json`.

    Returns:
        None for a folder on this machine.

    Raises:
        DescriptionError: it was never asked for and the Hub cannot be reached, or knows no such model.
    """
    model, revision = str(settings.model), settings.revision
    if Path(model).is_dir() or re.fullmatch(r"[0-9a-f]{40}", revision):
        return None if Path(model).is_dir() else revision
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        raise DescriptionError(f"describing.model {model!r} is neither a folder nor a model on the Hub (owner/name)")
    pins = cache / "descriptions" / "pins.json"
    known = json.loads(pins.read_text(encoding="utf-8")) if pins.is_file() else {}
    key = f"{model}@{revision}"
    if key not in known:
        from parler_assets.storage import write_json

        known[key] = _ask_commit(model, revision)
        write_json(pins, known)
    return known[key]


def _ask_commit(model: str, revision: str) -> str:
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(model, revision=revision).sha)
    except Exception as error:  # the Hub's own, and those of the HTTP library below it, which are no OSError
        raise DescriptionError(
            f"cannot ask the Hub for the commit of {model}@{revision} ({type(error).__name__}): check the connection "
            "and describing.model (a gated model needs HF_TOKEN), or give its commit or a folder"
        ) from None


def _folder_digest(folder: Path) -> str:
    """Of the small files' content, and of name, size and time of change of the weights."""
    lines = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        status = path.stat()
        small = path.suffix in (".json", ".txt", ".jinja", ".model")
        said = hashlib.sha256(path.read_bytes()).hexdigest() if small else f"{status.st_size} {status.st_mtime_ns}"
        lines.append(f"{path.name} {said}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
