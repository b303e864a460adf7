"""What a revision on the Hub means: one rule for data sets, language models, base checkpoints, weights and recognisers.

A commit is used as it is. A branch is asked for its commit once, when something is made from it, and what is made keeps
the answer (`COMMITS` among the facts of its manifest). Where the Hub cannot be reached the last answer counts.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Literal

from parler_assets.hub.errors import SourceError
from parler_assets.storage import Schema

logger = logging.getLogger(__name__)

NOTE = Schema("revision")

Kind = Literal["dataset", "model"]
COMMITS = "commits"  # the fact that says which commits a stage was built from: repository to commit
_COMMIT = re.compile(r"[0-9a-f]{40}")


class RevisionError(SourceError):
    """A revision that no commit is known of; the message says what to do."""


def is_commit(revision: str) -> bool:
    return _COMMIT.fullmatch(revision) is not None


def settled_commit(repo: str, revision: str, notes: Path | None = None, kind: Kind = "dataset") -> str:
    """The commit to read: the revision itself, what the Hub says now, or, without a network, what it said last.

    Args:
        notes: folder in which answers are kept; None keeps them beside the Hub's own cache.

    Raises:
        RevisionError: the Hub knows no such revision, or it cannot be reached and was never asked before.
    """
    if is_commit(revision):
        return revision
    notes = notes or _own_notes()
    try:
        commit = ask_commit(repo, revision, kind)
    except ConnectionError as error:
        known = _last_known(repo, revision, notes, kind)
        if known is None:
            remedy = "was never fetched to this machine: connect once, or fill HF_HOME"
            raise RevisionError(f"{error}; and {repo} {remedy}") from None
        logger.warning("%s; its last known commit is used: %s", error, known)
        return known
    NOTE.write(_note(repo, revision, notes), {"repo": repo, "revision": revision, "commit": commit})
    return commit


def ask_commit(repo: str, revision: str, kind: Kind = "dataset") -> str:
    """The commit that a revision means now, asked of the Hub.

    Raises:
        RevisionError: the Hub knows no such repository or revision.
        ConnectionError: the Hub cannot be reached, or HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    called = "data set" if kind == "dataset" else kind
    try:
        return HfApi().repo_info(repo, revision=revision, repo_type=kind).sha or revision
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise RevisionError(
            f"no {called} {repo} with revision {revision} that this account may read: check its name and revision in "
            f"the recipe; a gated or private one needs HF_TOKEN ({type(error).__name__})"
        ) from None
    except Exception as error:  # the Hub's own, and those of the HTTP library below it, which are no OSError
        raise ConnectionError(
            f"cannot ask the Hub for the commit of {repo} ({revision}): {type(error).__name__}; check the connection "
            "(HF_TOKEN where access is restricted)"
        ) from None


def snapshot_here(repo: str, revision: str, kind: Kind = "dataset") -> Path | None:
    """The folder of a revision in the Hub's cache on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, repo_type=kind, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _own_notes() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).parent / "parler_assets"


def _note(repo: str, revision: str, notes: Path) -> Path:
    return notes / f"{repo.replace('/', '--')}@{revision.replace('/', '--')}.json"


def _last_known(repo: str, revision: str, notes: Path, kind: Kind) -> str | None:
    """From our notes, from those of an earlier version (`pins.json`), or from the Hub's cache."""
    for file, key in ((_note(repo, revision, notes), "commit"), (notes / "pins.json", f"{repo}@{revision}")):
        if known := (NOTE.find(file, "it is looked for elsewhere") or {}).get(key):
            return known
    folder = snapshot_here(repo, revision, kind)
    return folder.name if folder else None
