"""Everything a training needs, put together on its device. With several processes, every one of them does this."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from parler_assets import storage
from parler_assets.recipe import Training
from parler_assets.tts.base import validate_base
from parler_assets.tts.data import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.data.collate import Collator
from parler_assets.tts.model.varlen import packs
from parler_assets.tts.training import checkpoints, memory
from parler_assets.tts.training.batches import Reader, Updates, lengths_of
from parler_assets.tts.training.heldout import HeldOut
from parler_assets.tts.training.job import Job, TrainingRefused
from parler_assets.tts.training.loop import FineTuner
from parler_assets.tts.training.plan import Lengths, Plan, computed_positions
from parler_assets.tts.training.speed import peak
from parler_assets.tts.training.text_states import TextStates
from parler_assets.tts.training.weights import load_base

logger = logging.getLogger(__name__)


def assemble(job: Job) -> FineTuner:
    """Everything a training needs, on its device."""
    settings = job.settings
    facts = storage.read_manifest(job.training_set).facts
    train_split, held_out_split = open_split(job.training_set, TRAIN), open_split(job.training_set, HELD_OUT)
    sizes, held_out_sizes = (lengths_of(split, facts["codebooks"]) for split in (train_split, held_out_split))
    for split, lengths in ((train_split, sizes), (held_out_split, held_out_sizes)):
        _refuse_too_long(split, lengths, facts["max_positions"])
    accelerator = accelerator_on(job.device)
    device, processes = accelerator.device, accelerator.num_processes
    _refuse_apart(settings.processes, processes)
    refuse_precision(settings, str(device))

    model = load_base(job)
    decoder = model.config.decoder
    limit, packed = facts["max_positions"], _packed(decoder, device, settings)
    states = _text_states(job, model, [train_split, held_out_split], device)
    model.audio_encoder = None
    settings = with_budget(settings, model, decoder, device)
    plan = Plan(sizes, train_split.weights, settings, limit, processes, packed)
    _check_memory(job, model, decoder, plan, device)
    if accelerator.is_main_process:
        checkpoints.check_room(job, model)
    collator = Collator(facts["codebook_size"], _pad_id(job))
    reader, held_out_reader = (Reader(split, collator, states) for split in (train_split, held_out_split))
    updates = Updates(plan, reader, decoder, accelerator.process_index)
    evaluated = settings.model_copy(update={"batch_size": settings.eval_batch_size or settings.batch_size})
    held_out = HeldOut(held_out_split, held_out_sizes, evaluated, limit, packed)
    one = peak(str(device))
    return FineTuner(job, model, accelerator, updates, held_out, held_out_reader, one and one * processes, packed)


def accelerator_on(device: str) -> Accelerator:
    """This process among those that were started with it. Precision is the loop's own: weights stay float32."""
    cpu = device == "cpu"
    handlers: list[Any] = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    if cpu and "WORLD_SIZE" in os.environ:
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    return Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=handlers)


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


def _text_states(job: Job, model: Any, splits: list[Split], device: torch.device) -> TextStates | None:
    """States of all descriptions when the text encoder is frozen; the model then goes without it."""
    if not job.settings.freeze_text_encoder and not job.settings.lora:
        return None
    descriptions = [description for split in splits for description in split.descriptions]
    dtype = torch.bfloat16 if job.settings.precision == "bfloat16" else torch.float32
    states = TextStates.encode(model.text_encoder, descriptions, _pad_id(job), str(device), dtype)
    model.text_encoder = None
    return states


def _pad_id(job: Job) -> int:
    return int(validate_base(job.base)["text_encoder"].get("pad_token_id") or 0)


def with_budget(settings: Training, model: Any, decoder: Any, device: torch.device) -> Training:
    """Where no `max_positions` is set: what the card holds. A smaller one cuts the same updates into more pieces."""
    if settings.max_positions is not None or device.type != "cuda":
        return settings
    fitting = memory.positions_that_fit(model, decoder, settings, memory.room_of_cards(str(device)))
    if fitting < memory.LEAST:
        return settings  # refused soon, with what would help
    logger.info("training.max_positions: %d, by this card's memory", fitting)
    return settings.model_copy(update={"max_positions": fitting})


def _check_memory(job: Job, model: Any, decoder, plan: Plan, device: torch.device) -> None:
    batches = [
        batch for index in range(min(plan.updates_per_epoch, len(plan))) for rank in plan[index].ranks for batch in rank
    ]
    largest = max(computed_positions(plan.lengths, list(batch), plan.packed) for batch in batches)
    needed = memory.estimate(model, decoder, job.settings, largest)
    memory.refuse_if_too_large(needed, memory.available(str(device)), job.settings, largest)


def _packed(decoder, device: torch.device, settings: Training) -> bool:
    precision = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    return packs(device, precision, decoder.head_size, decoder.attention_dropout)
