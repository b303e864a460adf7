"""What a stage reads, held to the digests of its start: a result belongs to what it was made from.

A training into the same folder, or a rebuild beside a run, may replace an input while a stage is on its way. What was
made until then is kept by the digest of what it was made from; the stage ends without a manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.tts.base import BaseError, checkpoint_digest


class InputChanged(RuntimeError):
    """An input was replaced while it was read; the message names it and the remedy."""


@dataclass(frozen=True)
class Inputs:
    """Checkpoints and finished stages by their digests."""

    checkpoints: Mapping[Path, str]
    stages: Mapping[Path, str]

    @classmethod
    def of(cls, checkpoints: Iterable[Path], stages: Iterable[Path]) -> Inputs:
        """As they are now.

        Raises:
            ShardError: a stage is unfinished.
            BaseError: a checkpoint is damaged.
        """
        manifests = {folder: storage.read_manifest(folder).digest for folder in stages}
        return cls({folder: checkpoint_digest(folder) for folder in checkpoints}, manifests)

    def verify(self) -> None:
        """Raises InputChanged where one is not what it was."""
        for folder in self.checkpoints:
            self.verify_checkpoint(folder)
        for folder, digest in self.stages.items():
            _same(folder, digest, _stage_digest(folder))

    def verify_checkpoint(self, folder: Path) -> None:
        """To be called when its weights are loaded: they are those of the digest if it is the same after."""
        try:
            found = checkpoint_digest(folder)
        except (OSError, BaseError):  # it is being replaced at this moment
            found = None
        _same(folder, self.checkpoints[folder], found)


def _stage_digest(folder: Path) -> str | None:
    try:
        return storage.read_manifest(folder).digest
    except storage.ShardError:
        return None


def _same(folder: Path, before: str, now: str | None) -> None:
    if now != before:
        what = f"is {now} now" if now else "is being made again"
        raise InputChanged(
            f"{folder}: was replaced while it was read (it was {before} at the start, {what}): wait until what writes "
            "it has ended, and materialize this again; what was finished is kept"
        )
