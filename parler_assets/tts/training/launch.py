"""Start a training in processes of its own, follow it, and end it whatever happens to the caller.

The training runs in its own session and process group. The group is killed when `run_training` returns or raises, and
kills itself when the caller's end of a pipe closes, which the kernel does however the caller ends. A training that was
interrupted resumes from its last checkpoint when it is started again with the same inputs and settings.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.progress import Task
from parler_assets.recipe import Training
from parler_assets.speech.devices import visible
from parler_assets.storage import disk
from parler_assets.tts.base import MANIFEST, PROVENANCE, checkpoint_damage, checkpoint_digest, seal_checkpoint
from parler_assets.tts.training import metrics
from parler_assets.tts.training.fitness import refuse_unfit
from parler_assets.tts.training.job import TRAINED, Job, TrainingFailed, TrainingRefused, latest
from parler_assets.tts.training.states import newest_intact, own
from parler_assets.tts.training.worker import FAILURE, UNSAID

logger = logging.getLogger(__name__)

LOG = "training.log"
# Nothing is imported from the folder where the command was given, nor by the workers that torchrun starts.
ISOLATED = {"PYTHONSAFEPATH": "1", "TOKENIZERS_PARALLELISM": "false"}
_POLL = 0.2
_RANK_KILLED = re.compile(r"rank +: (\d+) .*\n +exitcode +: -(\d+)")
_GRACE = 5.0
OnMetrics = Callable[[dict], None]
SHOWN = {"loss": "loss", "eval_loss": "held-out loss", "learning_rate": "learning rate", "seconds_left": "seconds_left"}
# glibc gives large tensors back to the kernel and faults them in again at every step: 7 % of a training's CPU time.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


@dataclass(frozen=True)
class TrainingResult:
    """A finished training.

    Attributes:
        checkpoint: folder in the published layout.
        digest: of the checkpoint's content.
        reused: nothing had to be trained.
        metrics: all lines of metrics.jsonl.
        updates: optimiser updates made; `chosen_update` is the one whose weights the checkpoint has.
        held_out_loss: of the checkpoint.
        seconds: wall time of the process that finished it.
    """

    folder: Path
    checkpoint: Path
    digest: str
    reused: bool
    metrics: list[dict]
    updates: int
    chosen_update: int
    held_out_loss: float | None
    seconds: float


def run_training(
    training_set: Path,
    base: Path,
    folder: Path,
    settings: Training,
    device: str = "cpu",
    on_metrics: OnMetrics | None = None,
    rebuild: bool = False,
) -> TrainingResult:
    """Fine-tune `base` on a finished training set.

    Args:
        folder: where everything goes; see `Job`. Another training's files in it are replaced.
        on_metrics: called with every line of metrics while training runs, from the first line, also after a resume. If
            it fails, training goes on.
        rebuild: forget a finished or interrupted training of the same inputs and settings.

    Raises:
        TrainingRefused: the training set has problems, or the device too little memory.
        TrainingFailed: the process ended without a checkpoint; what can be resumed is kept.
    """
    job = Job.create(training_set, base, folder, settings, device)
    with storage.exclusive(job.folder):
        record = None if rebuild else _finished(job)
        if record:
            return _result(job, record, reused=True)
        refuse_unfit(job)
        _prepare(job, rebuild)
        report = _careful(on_metrics or (lambda line: None))
        with _process(job) as process, Task(storage.name_of(job.folder), 0, "update") as task:
            for line in _follow(job.metrics, process):
                _show(task, line)
                report(line)
        record = _finished(job)
        if record is None:
            raise failure(job, process.returncode)
        return _result(job, record, reused=False)


def _finished(job: Job) -> dict | None:
    """The record of this very training, if it finished and its checkpoint is still what it was."""
    record = TRAINED.find(job.record, "the result is made again from the last training state")
    if record is None or record["fingerprint"] != job.fingerprint or not job.result.is_dir():
        return None
    if damage := checkpoint_damage(job.result):
        logger.warning("%s; the checkpoint is made again from the training states", damage)
        return None
    if checkpoint_digest(job.result) != record["digest"]:
        return None
    if not _sealed(job.result):
        return None
    _mend_log(job, record.get("log"))
    return record


def _sealed(result: Path) -> bool:
    """Whether a checkpoint whose digest is the recorded one has its digests beside it. They are written again where
    they were lost; not where it lacks what that digest leaves out.
    """
    if (result / MANIFEST).is_file():
        return True
    if not (result / PROVENANCE).is_file():
        logger.warning("%s: missing; the checkpoint is made again from the training states", result / PROVENANCE)
        return False
    seal_checkpoint(result)
    return True


def _mend_log(job: Job, digest: str | None) -> None:
    """Take the log from the last training state where it is not what it was when the training ended."""
    if digest is None or storage.damage(job.folder, {job.metrics.name: digest}) is None:
        return
    kept = newest_intact(job.checkpoints)
    if kept and storage.damage(kept[0], {metrics.FILE: digest}) is None:
        logger.warning("%s: damaged or missing; it is made again from %s", job.metrics, kept[0])
        metrics.resume(job.metrics, *kept)
    else:
        logger.warning(
            "%s: damaged or missing, and no training state has it; what can be read of it is shown", job.metrics
        )


def _result(job: Job, record: dict, reused: bool) -> TrainingResult:
    facts = {key: record[key] for key in ("digest", "updates", "chosen_update", "held_out_loss", "seconds")}
    lines = metrics.read_lines(job.metrics)
    return TrainingResult(job.folder, job.result, reused=reused, metrics=lines, **facts)


def _prepare(job: Job, rebuild: bool) -> None:
    """Keep this training's progress and write the job. Another's states stay until this one begins, its result until
    this one ends.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        before = Job.read(job.folder / "job.json").fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        before = None
    if rebuild:
        for folder in (job.checkpoints, job.best):
            shutil.rmtree(folder, ignore_errors=True)
    own(job.best, job.fingerprint, before)
    resumed = own(job.checkpoints, job.fingerprint, before)
    metrics.resume(job.metrics, *(resumed or (None, 0)))
    job.record.unlink(missing_ok=True)
    (job.folder / FAILURE).unlink(missing_ok=True)
    job.write()


def command(job: Job) -> list[str]:
    """What is started; it ends when its standard input closes."""
    return [
        sys.executable,
        "-P",
        "-m",
        "parler_assets.tts.training.worker",
        str(job.folder / "job.json"),
        "--exit-with-parent",
    ]


@contextmanager
def _process(job: Job) -> Iterator[subprocess.Popen]:
    """The training's process, in a group that is ended when this block is left in any way."""
    with disk.writing(job.folder / LOG), (job.folder / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command(job),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=KEEP_MEMORY | os.environ | visible(job.device) | ISOLATED,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """End the whole group: politely if it still runs, then for certain."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _signal(process: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _follow(path: Path, process: subprocess.Popen) -> Iterator[dict]:
    """Lines of metrics as they are written, until the process ends."""
    read = 0
    while True:
        ended = process.poll() is not None
        if path.is_file():
            with path.open("rb") as file:  # opened again each time: a training that resumes replaces the file
                file.seek(read)
                whole, end, _ = file.read().rpartition(b"\n")
            read += len(whole) + len(end)
            yield from map(json.loads, whole.splitlines())
        if ended:
            return
        time.sleep(_POLL)


def _show(task: Task, line: dict) -> None:
    """A line of metrics as progress."""
    task.total = line.get("updates", task.total)  # lines from before it was written lack it
    task.at(line["step"], **{shown: line[name] for name, shown in SHOWN.items() if name in line})


def _careful(report: OnMetrics) -> OnMetrics:
    """`report`, but a failure of it (a tracking server that went away, say) is logged once and training goes on."""
    failed = False

    def call(line: dict) -> None:
        nonlocal failed
        try:
            report(line)
        except Exception as error:
            if not failed:
                logger.warning("metrics could not be reported, training goes on: %s", error)
            failed = True

    return call


def failure(job: Job, code: int) -> Exception:
    """Why a process ended without a result, in words."""
    said = job.folder / FAILURE
    if said.is_file():
        kind, _, message = said.read_text(encoding="utf-8").partition(": ")
        return (TrainingRefused if kind == TrainingRefused.__name__ else TrainingFailed)(message)
    kept = latest(job.checkpoints)
    after = f"it resumes at update {kept[1]} when started again" if kept else "no checkpoint had been written"
    number = code - UNSAID if code - UNSAID in disk.SAID else disk.full(job.folder)
    if number:
        what, remedy = disk.SAID[number]
        return TrainingFailed(
            f"{job.folder}: {what}, {disk.size(disk.free(job.folder))} are free, so training stopped; {after}; {remedy}"
        )
    log = (job.folder / LOG).read_text(encoding="utf-8", errors="replace")
    tail = "\n".join(log.splitlines()[-15:])
    return TrainingFailed(f"training {ended_how(code, log)}; {after}. The end of {job.folder / LOG}:\n{tail}")


def ended_how(code: int, log: str) -> str:
    """How it ended; of several processes the first that did, which their launcher names last."""
    ranks = _RANK_KILLED.findall(log)
    rank, signalled = ranks[-1] if ranks and code > 0 else ("", str(-code))
    if int(signalled) <= 0:
        return f"ended with code {code}"
    named = signal.Signals(int(signalled)).name
    often = " (often: the machine ran out of memory)" if named == "SIGKILL" else ""
    return f"was ended by {named}{often}{f' in its process {rank}' if rank else ''}"
