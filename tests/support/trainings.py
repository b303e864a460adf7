"""A tiny base, a training set whose codes can be learnt, and trainings of a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parler_assets.recipe import Training
from parler_assets.tts.data import build_training_set
from parler_assets.tts.training import metrics, worker
from parler_assets.tts.training.job import Job
from parler_assets.tts.training.worker import train
from tests.support.lanes import SPEAKERS, clip_rows, write_lane
from tests.support.tiny_checkpoint import write_tiny_checkpoint

CODEBOOKS, SIZE = 4, 32
TIMES = ("time", "frames_per_second", "mfu", "seconds", "seconds_left")


def settings(**changes) -> Training:
    """Four updates an epoch, three epochs."""
    plain = {
        "min_seconds": 0.5,
        "max_seconds": 12,
        "batch_size": 4,
        "effective_batch_size": 8,
        "epochs": 3,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "precision": "float32",
        "evaluate_every": 4,
        "save_every": 3,
        "log_every": 1,
    }
    return Training(**plain | changes)


def write_base(folder: Path, **shape) -> Path:
    return write_tiny_checkpoint(folder, codebooks=CODEBOOKS, codebook_size=SIZE, **shape)


def write_set(folder: Path, base: Path, clips: int = 36) -> Path:
    """Codes that follow from the speaker, so that there is something to learn."""
    rows = clip_rows(clips, frames=16)
    codes = {
        row["id"]: (16 * SPEAKERS.index(row["speaker"]) + np.arange(row["frames"]) % 4 + np.arange(CODEBOOKS)[:, None])
        .astype(np.uint16)
        for row in rows
    }  # fmt: skip
    lane = write_lane(
        folder / "lanes", rows, codebooks=CODEBOOKS, codebook_size=SIZE, codes=codes, held_out=0.2, licence="CC0-1.0"
    )
    return build_training_set([lane], base, folder / "set", settings()).folder


class Place:
    """A folder with a base and a training set, and trainings in it."""

    def __init__(self, folder: Path, **shape) -> None:
        self.folder = folder
        self.base = write_base(folder / "base", **shape)
        self.set = write_set(folder, self.base)

    def job(self, name: str, chosen: Training) -> Job:
        job = Job.create(self.set, self.base, self.folder / name, chosen, "cpu")
        job.folder.mkdir(exist_ok=True)
        job.write()
        return job

    def train(self, name: str, **changes) -> Job:
        job = self.job(name, settings(**changes))
        train(job)
        return job


@contextmanager
def in_this_process(job: Job) -> Iterator[SimpleNamespace]:
    """The training's process without its start, which takes longer than the training."""
    code = worker.main([str(job.folder / "job.json")])
    yield SimpleNamespace(poll=lambda: code, returncode=code)


def measured(job: Job) -> list[dict]:
    """All metrics but those of time."""
    return [{k: v for k, v in line.items() if k not in TIMES} for line in metrics.read_lines(job.metrics)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums in one order, here and in the processes started from here, whatever earlier tests used."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)
