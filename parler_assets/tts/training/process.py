"""What one training process does, from job to checkpoint. With several processes, every one of them does this."""

from __future__ import annotations

import importlib.metadata
import math
import time
from typing import Any

import numpy as np
import torch
from transformers import TrainingArguments

from parler_assets import storage
from parler_assets.recipe import Training
from parler_assets.tts.base import checkpoint_digest, validate_base
from parler_assets.tts.data import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.data.collate import Collator
from parler_assets.tts.data.texts import trained_lengths
from parler_assets.tts.model.varlen import packs
from parler_assets.tts.training import memory, metrics
from parler_assets.tts.training.batches import Reader, Updates, lengths_of
from parler_assets.tts.training.fitness import refuse_unfit
from parler_assets.tts.training.heldout import HeldOut
from parler_assets.tts.training.job import Job, TrainingFailed, TrainingRefused, latest
from parler_assets.tts.training.loop import FineTuner, arguments
from parler_assets.tts.training.plan import Lengths, Plan, padded_positions
from parler_assets.tts.training.speed import peak
from parler_assets.tts.training.text_states import TextStates
from parler_assets.tts.training.weights import load_model, write_result

# What a forward and backward pass costs however small its batch is, in decoder positions that would take as long.
PASS_COST = {"cpu": 64, "cuda": 2000}


def train(job: Job) -> None:
    """Train, resuming at the newest complete checkpoint, and write the result.

    Raises:
        TrainingRefused: the training set, the base or the device will not do.
        TrainingFailed: a loss was not finite, or nothing could be saved.
    """
    started = time.monotonic()
    refuse_unfit(job)
    trainer = assemble(job)
    try:
        trainer.run()
    except torch.OutOfMemoryError as error:
        raise TrainingFailed(
            "the device ran out of memory: set training.max_positions lower, training.gradient_checkpointing: true, "
            f"or training.lora ({error})"
        ) from error
    if trainer.is_world_process_zero():
        finish(job, trainer, time.monotonic() - started)
    trainer.accelerator.wait_for_everyone()


def assemble(job: Job) -> FineTuner:
    """Everything a training needs, on its device."""
    settings = job.settings
    facts = storage.read_manifest(job.training_set).facts
    train_split, held_out_split = open_split(job.training_set, TRAIN), open_split(job.training_set, HELD_OUT)
    sizes, held_out_sizes = (lengths_of(split, facts["codebooks"]) for split in (train_split, held_out_split))
    for split, lengths in ((train_split, sizes), (held_out_split, held_out_sizes)):
        _refuse_too_long(split, lengths, facts["max_positions"])
    args = arguments(job)
    _refuse_apart(settings.processes, args.world_size)
    refuse_precision(settings, str(args.device))
    limit, pass_cost = facts["max_positions"], PASS_COST[args.device.type]
    plan = Plan(sizes, train_split.weights, settings, limit, args.world_size, pass_cost)
    args.max_steps = len(plan)
    if settings.warmup_ratio:
        args.warmup_steps = math.ceil(settings.warmup_ratio * len(plan))

    model = load_model(job.base, settings)
    decoder = model.config.decoder
    states = _text_states(job, model, [train_split, held_out_split], args)
    model.audio_encoder = None
    _check_memory(job, model, decoder, plan, args)
    collator = Collator(facts["codebook_size"], _pad_id(job))
    reader, held_out_reader = (Reader(split, collator, states) for split in (train_split, held_out_split))
    updates = Updates(plan, reader, decoder, args.process_index)
    evaluated = settings.model_copy(update={"batch_size": settings.eval_batch_size or settings.batch_size})
    held_out = HeldOut(held_out_split, held_out_sizes, evaluated, limit, pass_cost)
    return FineTuner(
        job, model, args, updates, held_out, held_out_reader, _peak(args), _packed(decoder, args, settings)
    )


def refuse_precision(settings: Training, device: str) -> None:
    """Stop where a card would only emulate bfloat16 (before Ampere), many times slower than float32.

    Raises:
        TrainingRefused: naming the card and what it can do instead.
    """
    if settings.precision != "bfloat16" or not device.startswith("cuda"):
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise TrainingRefused(
            f"{torch.cuda.get_device_name(device)} computes no bfloat16: set training.precision: float32, and where "
            "memory is short training.lora: {rank: 16} or training.max_positions"
        )


def _refuse_apart(wanted: int, found: int) -> None:
    """Processes that have not found each other would all train alone, and write over each other's checkpoints."""
    if wanted != found:
        raise TrainingRefused(
            f"training.processes is {wanted}, but this process is one of {found}: check num_processes, num_machines "
            "and the main process's address in the configuration of accelerate (on CPUs it joins no machines)"
        )


def _refuse_too_long(split: Split, lengths: Lengths, limit: int | None) -> None:
    longest = int(np.argmax(lengths.positions))
    if limit is not None and lengths.positions[longest] > limit:
        name = f"{split.table['corpus'][longest]}/{split.table['id'][longest]}"
        raise TrainingRefused(
            f"clip {name} needs {lengths.positions[longest]} positions, the base has {limit}; "
            "lower training.max_seconds or training.max_text_length"
        )


def _text_states(job: Job, model: Any, splits: list[Split], args: TrainingArguments) -> TextStates | None:
    """States of all descriptions when the text encoder is frozen; the model then goes without it."""
    if not job.settings.freeze_text_encoder and not job.settings.lora:
        return None
    descriptions = [description for split in splits for description in split.descriptions]
    dtype = torch.bfloat16 if job.settings.precision == "bfloat16" else torch.float32
    states = TextStates.encode(model.text_encoder, descriptions, _pad_id(job), str(args.device), dtype)
    model.text_encoder = None
    return states


def _pad_id(job: Job) -> int:
    return int(validate_base(job.base)["text_encoder"].get("pad_token_id") or 0)


def _check_memory(job: Job, model: Any, decoder, plan: Plan, args: TrainingArguments) -> None:
    batches = [
        batch for index in range(min(plan.updates_per_epoch, len(plan))) for rank in plan[index].ranks for batch in rank
    ]
    largest = max(padded_positions(plan.lengths, list(batch)) * len(batch) for batch in batches)
    needed = memory.estimate(model, decoder, job.settings, largest)
    memory.refuse_if_too_large(needed, memory.available(str(args.device)), job.settings, largest)


def _packed(decoder, args: TrainingArguments, settings: Training) -> bool:
    precision = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    return packs(args.device, precision, decoder.head_size, decoder.attention_dropout)


def _peak(args: TrainingArguments) -> float | None:
    one = peak(str(args.device))
    return one and one * args.world_size


def finish(job: Job, trainer: FineTuner, seconds: float) -> None:
    """Write the checkpoint of the best held-out loss (or of the last update), and the record of the training."""
    newest, best = latest(job.checkpoints), latest(job.best)
    chosen = best if best and job.settings.keep_best else newest
    if chosen is None:
        raise TrainingFailed(f"{job.folder}: no checkpoint could be written; is the disk full?")
    facts, lengths = storage.read_manifest(job.training_set).facts, trained_lengths(job.training_set)
    made_from = {
        "base": job.base_digest,
        "training_set": storage.read_manifest(job.training_set).digest,
        "licences": facts["licences"],
        "texts": lengths.as_dict() if lengths else None,
        "settings": job.settings.model_dump(mode="json"),
        "update": chosen[1],
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "accelerate")},
    }
    write_result(job, chosen[0], made_from)
    losses = dict(metrics.held_out_losses(job.metrics))
    record = {
        "fingerprint": job.fingerprint,
        "digest": checkpoint_digest(job.result),
        "updates": trainer.state.global_step,
        "chosen_update": chosen[1],
        "held_out_loss": losses.get(chosen[1]),
        "seconds": round(seconds, 1),
    }
    storage.write_json(job.record, record)
