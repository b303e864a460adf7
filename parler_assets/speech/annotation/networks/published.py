"""Published weights of annotators from files of torch's, into networks of this package."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from parler_assets.hub.errors import AnnotatorError
from parler_assets.hub.weights import FOLDER
from parler_assets.intake import Refusal
from parler_assets.intake.files import open_file
from parler_assets.intake.torch_files import MOST, REMEDY, read_torch


def read_published(path: Path, whose: str, foreign: tuple[str, ...] = ()) -> dict[str, Any]:
    """The mapping in a file of torch's.

    Raises:
        AnnotatorError: it holds none, or is refused; the message names file and remedy.
    """
    try:
        content = read_torch(path, foreign)
    except (OSError, Refusal) as error:
        raise other_weights(path, whose, getattr(error, "problem", None) or f"{error}; {REMEDY}") from None
    if not isinstance(content, Mapping):
        raise other_weights(path, whose, f"it holds no mapping of names to tensors; {REMEDY}")
    return dict(content)


def digest_of(path: Path, whose: str) -> str:
    """SHA-256 of a file; raises as `read_published` does."""
    try:
        with open_file(path, MOST) as file:
            return hashlib.file_digest(cast("io.BufferedReader", file), "sha256").hexdigest()
    except (OSError, Refusal) as error:
        raise other_weights(path, whose, getattr(error, "problem", None) or f"{error}; {REMEDY}") from None


def fill(network: nn.Module, state: Any, path: Path, whose: str) -> None:
    """Weights into a network that has just these.

    Raises:
        AnnotatorError: names, shapes or numbers are others; the message names file and remedy.
    """
    wanted = network.state_dict()
    given = state if isinstance(state, Mapping) else {}
    wrong = [name for name, value in wanted.items() if not _fits(given.get(name), value)]
    wrong += [repr(name)[:80] for name in given if name not in wanted]
    if wrong:
        raise other_weights(path, whose, f"{len(wrong)} tensors differ, such as {wrong[0]}; {REMEDY}")
    network.load_state_dict(dict(given))


def other_weights(path: Path, whose: str, told: str) -> AnnotatorError:
    return AnnotatorError(f"{path}: not the weights of {whose}: {told}, or name another folder in {FOLDER}")


def _fits(given: Any, wanted: Tensor) -> bool:
    if not isinstance(given, Tensor) or given.layout != wanted.layout or given.shape != wanted.shape:
        return False
    return given.is_floating_point() == wanted.is_floating_point() and bool(given.isfinite().all())
