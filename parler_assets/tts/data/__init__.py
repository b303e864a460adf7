"""Training sets: joined by id, filtered, split, audited, batched."""

from parler_assets.tts.data.audit import Problem, audit_training_set
from parler_assets.tts.data.build import build_training_set
from parler_assets.tts.data.codes_file import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.data.lanes import Lane, TrainingSetError
from parler_assets.tts.data.mixture import mixture_markdown

__all__ = [
    "HELD_OUT",
    "TRAIN",
    "Lane",
    "Problem",
    "Split",
    "TrainingSetError",
    "audit_training_set",
    "build_training_set",
    "mixture_markdown",
    "open_split",
]
