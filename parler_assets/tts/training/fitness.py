"""Whether a training set fits a training, and what came of it. Light: the launcher asks before it starts a process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parler_assets import storage
from parler_assets.tts.data import audit_training_set
from parler_assets.tts.training.job import Job, TrainingRefused

ENOUGH_HELD_OUT = 400
AT_MOST = 0.1  # share of a set that is held out to have so many


def nothing_learnt(record: Mapping[str, Any]) -> list[str]:
    """A problem where the held-out loss was least before the first update: what is kept is the base, whole.

    `record` is a training's `training.json`.
    """
    if record["chosen_update"] != 0:
        return []
    return [
        f"the held-out loss was least before the first of {record['updates']} updates ({record['held_out_loss']:.3f}), "
        "so the base checkpoint itself was kept: lower training.learning_rate, evaluate more often "
        "(training.evaluate_every), or train on more clips"
    ]


def few_held_out(training_set: Path) -> list[str]:
    """A problem where the held-out loss comes from fewer than 400 clips although there are more.

    There are more where a limit left some out, or where a tenth of all clips would be 400.
    """
    manifest = storage.read_manifest(training_set)
    mixture = manifest.facts["mixture"]
    held_out = sum(record["held_out_rows"] for record in mixture)
    clips = held_out + sum(record["train_rows"] for record in mixture)
    if held_out >= ENOUGH_HELD_OUT:
        return []
    less = f"the held-out loss comes from {held_out} clips; {ENOUGH_HELD_OUT} make that of a style steady"
    if any("training.max_held_out_clips" in row.reason for row in manifest.set_aside):
        return [f"{less}: training.max_held_out_clips leaves some out"]
    if clips * AT_MOST >= ENOUGH_HELD_OUT:
        share = f"{ENOUGH_HELD_OUT / clips:.3f}"
        return [f"{less}, and there are {clips}: set held_out of the corpora to {share} or more, or list held_out_ids"]
    return []


def refuse_unfit(job: Job) -> None:
    """Check base and training set before anything expensive.

    Raises:
        TrainingRefused: naming every problem and its remedy.
    """
    problems = audit_training_set(job.training_set)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise TrainingRefused(f"{job.training_set}: {len(problems)} problem(s)\n{listed}")
    made_for = storage.read_manifest(job.training_set).facts["base"]
    if made_for != job.base_digest:
        raise TrainingRefused(
            f"{job.training_set} was made for another base than {job.base} ({made_for}, {job.base_digest}); "
            "materialize training_set again"
        )
