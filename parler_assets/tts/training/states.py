"""Whether a training state is still what was written: digests of its files, and the newest state that is whole."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from parler_assets import storage
from parler_assets.tts.training.job import latest

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def seal(folder: Path) -> None:
    """Write the digests of a state's files, last of all."""
    digests = {path.name: storage.sha256_of(path) for path in sorted(folder.iterdir())}
    storage.write_json(folder / MANIFEST, {"files": digests})


def damage(folder: Path) -> str | None:
    """What is wrong with a state, None if nothing is. One from before there were manifests must open, no more."""
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        digests = dict(content["files"])
    except FileNotFoundError:
        return _unreadable(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{MANIFEST} is damaged"
    for name, digest in digests.items():
        try:
            if storage.sha256_of(folder / name) != digest:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def _unreadable(folder: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        try:
            with safe_open(path, "np"):
                pass
        except (OSError, SafetensorError) as error:
            return f"{path.name}: {error}"
    return None if files else "it holds no weights"


def newest_intact(states: Path) -> tuple[Path, int] | None:
    """The newest state that is whole, and its step. Damaged ones are put aside as `damaged-*`, with a warning each."""
    while found := latest(states):
        folder, step = found
        problem = damage(folder)
        if problem is None:
            return found
        aside = folder.with_name(f"damaged-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        before = latest(states)
        instead = f"that of update {before[1]} is used" if before else "there is none before it"
        logger.warning(
            "the training state of update %d is damaged (%s): put aside as %s; %s", step, problem, aside, instead
        )
    return None
