"""Whether a training state is still what was written: digests of its files, and the newest state that is whole."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import suppress
from pathlib import Path

from parler_assets import storage
from parler_assets.tts.training.job import latest

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


STATE = "trainer_state.json"
SEALED = storage.Schema("training_state", ["files"])


def seal(folder: Path) -> None:
    """Write the digests of a state's files, last of all."""
    SEALED.write(folder / MANIFEST, {"files": storage.digests(folder, [path.name for path in folder.iterdir()])})


def damage(folder: Path) -> str | None:
    """Which file of a state is not what was written, None if all are. One without a manifest must open, no more."""
    try:
        files = dict(SEALED.read(folder / MANIFEST)["files"])
    except FileNotFoundError:
        return _unreadable(folder)
    except (storage.RecordError, TypeError, ValueError):
        return f"{MANIFEST} is damaged"
    return storage.damage(folder, files)


def made_by(folder: Path) -> str | None:
    """Fingerprint of the training that an intact state belongs to; None where states did not say so yet."""
    try:
        return json.loads((folder / STATE).read_bytes()).get("fingerprint")
    except (OSError, ValueError):
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


def own(states: Path, fingerprint: str, before: str | None) -> tuple[Path, int] | None:
    """The newest intact state of the training with this fingerprint, None where there is none or they are another's.

    `before` is the training that the folder was last used for, to which states belong that do not say. Where that was
    another one, they are removed, since nobody could tell later; those that say stay (`remove_others`).
    """
    found = newest_intact(states)
    if found and made_by(found[0]) is None and before != fingerprint:
        shutil.rmtree(states)
        return None
    return found if found and (made_by(found[0]) or before) == fingerprint else None


def remove_others(states: Path, fingerprint: str) -> None:
    """Remove the states of other trainings. This one has begun: nothing is removed for one that is refused or fails
    before its first update, so that whoever takes the settings back trains nothing twice.
    """
    for folder in states.glob("step-*"):
        if made_by(folder) not in (None, fingerprint):
            shutil.rmtree(folder)
    with suppress(OSError):  # it is not there, or something lies in it
        states.rmdir()
