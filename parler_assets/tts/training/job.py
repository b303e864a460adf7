"""One training as both its launcher and its process see it: inputs, settings, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.recipe import TRAINING_SET_FIELDS, Training, digest
from parler_assets.tts.base import checkpoint_digest

VERSION = "1"
# Settings without influence on the weights: how often is looked and saved, and what the training set already obeyed.
_IDLE = (
    *TRAINING_SET_FIELDS,
    "variants",
    "candidate_by",
    "log_every",
    "save_every",
    "keep_checkpoints",
    "like_reference",
)

TRAINED = storage.Schema("training", ["fingerprint", "digest", "updates", "chosen_update", "held_out_loss", "seconds"])
DESCRIBED = storage.Schema("job", ["training_set", "base", "folder", "settings", "fingerprint"])
_PATHS = ("training_set", "base", "folder")


class TrainingRefused(ValueError):
    """Training that must not start; the message lists every problem with its remedy."""


class TrainingFailed(RuntimeError):
    """Training that ended without a checkpoint; the message says why, and what of it is kept."""


def fingerprint_of(settings: Training, training_set: str, base: str) -> str:
    """Of everything the weights follow from; `training_set` and `base` are digests of their content."""
    return digest(settings.model_dump(mode="json", exclude=set(_IDLE)), training_set, base, VERSION)


@dataclass(frozen=True)
class Job:
    """A training and its folder.

    `metrics.jsonl` grows live, `checkpoints/step-*` can be resumed, `best/` holds the weights of the lowest held-out
    loss, `checkpoint/` is the result in the published layout, `training.json` is written last.
    """

    training_set: Path
    base: Path
    folder: Path
    settings: Training
    device: str = "cpu"
    fingerprint: str = ""
    base_digest: str = ""

    @classmethod
    def create(cls, training_set: Path, base: Path, folder: Path, settings: Training, device: str) -> Job:
        base_digest = checkpoint_digest(base)
        fingerprint = fingerprint_of(settings, storage.read_manifest(training_set).digest, base_digest)
        training_set, base, folder = training_set.resolve(), base.resolve(), folder.resolve()
        return cls(training_set, base, folder, settings, device, fingerprint, base_digest)

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        return self.folder / "best"

    @property
    def result(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def record(self) -> Path:
        return self.folder / "training.json"

    def write(self) -> Path:
        path = self.folder / "job.json"
        places = {key: str(getattr(self, key)) for key in _PATHS}
        DESCRIBED.write(path, vars(self) | places | {"settings": self.settings.model_dump(mode="json")})
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        """What `write` wrote.

        Raises:
            FileNotFoundError: there is none.
            RecordError: it is damaged.
        """
        content = DESCRIBED.read(path)
        places = {key: Path(content[key]) for key in _PATHS}
        return cls(**content | places | {"settings": Training.model_validate(content["settings"])})


def step_folder(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:08d}"


def latest(checkpoints: Path) -> tuple[Path, int] | None:
    """The newest complete checkpoint and its step."""
    found = sorted(checkpoints.glob("step-*")) if checkpoints.is_dir() else []
    return (found[-1], int(found[-1].name.removeprefix("step-"))) if found else None
