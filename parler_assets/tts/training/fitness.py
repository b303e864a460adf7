"""Whether a training set fits a training. Light: the launcher asks before it starts a process."""

from __future__ import annotations

from parler_assets.speech import shards
from parler_assets.tts.data import audit_training_set
from parler_assets.tts.training.job import Job, TrainingRefused


def refuse_unfit(job: Job) -> None:
    """Check base and training set before anything expensive.

    Raises:
        TrainingRefused: naming every problem and its remedy.
    """
    problems = audit_training_set(job.training_set)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise TrainingRefused(f"{job.training_set}: {len(problems)} problem(s)\n{listed}")
    made_for = shards.read_manifest(job.training_set).facts["base"]
    if made_for != job.base_digest:
        raise TrainingRefused(
            f"{job.training_set} was made for another base than {job.base} ({made_for}, {job.base_digest}); "
            "materialize training_set again"
        )
