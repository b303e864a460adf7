"""What a training leaves: a checkpoint in the published layout, and the record of how it came about."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError

from parler_assets import storage
from parler_assets.tts.base import checkpoint_digest, known_files, seal_checkpoint
from parler_assets.tts.data.texts import trained_lengths
from parler_assets.tts.training import checkpoints, metrics
from parler_assets.tts.training.job import TRAINED, Job, TrainingFailed
from parler_assets.tts.training.states import newest_intact
from parler_assets.tts.training.weights import load_base, merge_adapters


def finish(job: Job, updates: int, seconds: float) -> None:
    """Write the checkpoint of the best held-out loss (or of the last update), and the record of the training.

    Raises:
        TrainingFailed: no training state is whole, or the result cannot be written; what was trained is kept.
    """
    best = newest_intact(job.best) if job.settings.keep_best else None
    chosen = best or newest_intact(job.checkpoints)
    if chosen is None:
        raise TrainingFailed(f"{job.folder}: every training state is damaged: start the training again")
    manifest, lengths = storage.read_manifest(job.training_set), trained_lengths(job.training_set)
    made_from = {
        "base": job.base_digest,
        "training_set": manifest.digest,
        "licences": manifest.facts["licences"],
        "texts": lengths.as_dict() if lengths else None,
        "settings": job.settings.model_dump(mode="json"),
        "update": chosen[1],
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "accelerate")},
    }
    try:
        write_result(job, chosen[0], made_from)
    except (OSError, SafetensorError) as error:
        raise TrainingFailed(
            f"{job.result} cannot be written: {error}; make room and start the training again: nothing is trained twice"
        ) from error
    losses = dict(metrics.held_out_losses(job.metrics))
    record = {
        "fingerprint": job.fingerprint,
        "digest": checkpoint_digest(job.result),
        "updates": updates,
        "chosen_update": chosen[1],
        "held_out_loss": losses.get(chosen[1]),
        "seconds": round(seconds, 1),
        "log": storage.sha256_of(job.metrics),
    }
    TRAINED.write(job.record, record)


def write_result(job: Job, weights: Path, provenance: dict) -> None:
    """The base with the trained weights of a checkpoint folder, in the published layout, complete or absent.

    Tokenizers and other small files of the base come along; `provenance.json` says what the weights were made from.
    """
    model = load_base(job)
    checkpoints.load_weights(weights, model)
    if job.settings.lora:
        merge_adapters(model)
    for left_behind in job.folder.glob(f".{job.result.name}.*"):
        shutil.rmtree(left_behind)
    temporary = job.folder / f".{job.result.name}.{os.getpid()}.tmp"
    try:
        model.save_pretrained(temporary)
        _copy_missing(job.base, temporary)
        storage.write_json(temporary / "provenance.json", provenance)
        seal_checkpoint(temporary)
        checkpoints.put_in_place(temporary, job.result)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_missing(base: Path, folder: Path) -> None:
    """Copy the known files of the base that `folder` has not: tokenizers, generation settings, licences."""
    for name, source in known_files(base).items():
        target = folder / name
        if not target.exists() and not name.endswith((".safetensors", ".safetensors.index.json")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
