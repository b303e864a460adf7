"""Where the published weights of annotators come from: a folder of the user's, or one commit on the Hub and its cache.

What was measured with other weights is another measurement, so the files' digests are part of what tags depend on.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from parler_assets import storage
from parler_assets.hub.blobs import whole
from parler_assets.hub.errors import AnnotatorError
from parler_assets.hub.revisions import RevisionError, settled_commit
from parler_assets.recipe import Annotation

FOLDER = "PARLER_WEIGHTS"  # environment variable: a folder with weight files, for machines without a network


@dataclass(frozen=True)
class Weights:
    """A file of published weights.

    Attributes:
        origin: whose file it is, for messages.
        repo: Hub repository that has it; None where no repository is known.
        revision: commit of the repository.
        remedy: what else the user can do without it.
    """

    name: str
    origin: str
    repo: str | None = None
    revision: str | None = None
    remedy: str = ""

    def fetch(self) -> Path:
        """The file, from the user's folder or the Hub repository.

        Raises:
            AnnotatorError: it is in neither place.
        """
        return self.own_file() or self._from_hub(f"put it into a folder and name that folder in {FOLDER}{self.remedy}")

    def own_file(self) -> Path | None:
        """The file in the user's folder, which goes before the Hub's."""
        folder = os.environ.get(FOLDER)
        return Path(folder) / self.name if folder and (Path(folder) / self.name).is_file() else None

    def _from_hub(self, remedy: str) -> Path:
        if self.repo is None:
            raise AnnotatorError(f"{self.name} ({self.origin}) is missing: {remedy}")
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return whole(partial(hf_hub_download, self.repo, self.name, revision=self.revision))
        except storage.DiskError:
            raise
        except (HfHubHTTPError, OSError, RuntimeError) as error:
            raise AnnotatorError(
                f"{self.name} ({self.origin}, {self.repo} on the Hub at {self.revision}) cannot be fetched: "
                f"{type(error).__name__}; connect once, or {remedy}"
            ) from None


def penn(settings: Annotation) -> Weights:
    return Weights(
        "fcnf0++.pt",
        "the weights of penn",
        "maxrmorrison/fcnf0-plus-plus",
        settings.pitch_revision,
        ", or choose annotation.pitch praat, which needs none",
    )


def brouhaha(settings: Annotation) -> Weights:
    return Weights(
        "best.ckpt",
        "the weights of Brouhaha",
        "ylacombe/brouhaha-best",
        settings.room_revision,
        ", or choose annotation.room classical, which needs none",
    )


SQUIM = Weights(
    "squim_objective_dns2020.pth",
    "the weights of torchaudio's SQUIM_OBJECTIVE, CC-BY-4.0, SHA-256 2c54586f...",
    remedy=", or choose annotation.quality none",
)


def needed(settings: Annotation) -> list[Weights]:
    """The files that the chosen annotators load."""
    chosen = [penn(settings)] if settings.pitch.startswith("penn") else []
    chosen += [brouhaha(settings)] if settings.room.startswith("brouhaha") else []
    return chosen + ([SQUIM] if settings.quality == "squim" else [])


def pinned(settings: Annotation, notes: Path | None = None) -> Annotation:
    """The settings with commits in place of branches, for the files that come from the Hub; see `hub.revisions`.

    Where no commit is known the branch stays, and fetching the file says what to do.
    """
    commits: dict[str, str] = {}
    for key, file in {"pitch_revision": penn(settings), "room_revision": brouhaha(settings)}.items():
        if file in needed(settings) and not file.own_file():
            with suppress(RevisionError):
                commits[key] = settled_commit(str(file.repo), str(file.revision), notes, "model")
    return settings.model_copy(update=commits)


def commits(settings: Annotation) -> dict[str, str]:
    """Repository to the commit of what the chosen annotators load from the Hub, of settings that are pinned."""
    return {str(file.repo): str(file.revision) for file in needed(settings) if file.repo and not file.own_file()}


def digests(settings: Annotation, tagged: Path | None = None) -> dict[str, str]:
    """SHA-256 of each file that the chosen annotators load; files on the Hub are fetched.

    Args:
        tagged: a stage of tags. Where it is finished, the files it was made with need not be here any more.

    Raises:
        AnnotatorError: a file is not here and cannot be fetched; the message names it and the remedy.
    """
    try:
        return {file.name: _sha256(file.fetch()) for file in needed(settings)}
    except AnnotatorError:
        known = _recorded(tagged) if tagged else {}
        if not known:
            raise
        return known


def _recorded(tagged: Path) -> dict[str, str]:
    try:
        return storage.read_manifest(tagged).facts.get("weights", {})
    except storage.ShardError:
        return {}


def _sha256(path: Path) -> str:
    facts = path.stat()
    return _sha256_of(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=16)
def _sha256_of(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
