"""From the base checkpoint to the weights that training changes, and adapters back into plain weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parler_assets.recipe import Lora, Training
from parler_assets.tts.base import BaseError, checkpoint_digest
from parler_assets.tts.training.job import Job, TrainingRefused


def load_model(base: Path, settings: Training) -> Any:
    """The base in float32, its codec frozen, its text encoder frozen if asked for, with adapters if asked for."""
    from parler_assets.tts import ParlerTTSForConditionalGeneration

    model = ParlerTTSForConditionalGeneration.from_pretrained(base).float()
    model.audio_encoder.requires_grad_(False)
    if settings.freeze_text_encoder:
        model.text_encoder.requires_grad_(False)
    if settings.lora:
        add_adapters(model, settings.lora, settings.seed)
    return model


def load_base(job: Job) -> Any:
    """The base of a training, of which these weights are known to be.

    Raises:
        TrainingRefused: it is damaged, or was replaced since the training was started.
    """
    model = load_model(job.base, job.settings)
    try:
        found = checkpoint_digest(job.base)
    except BaseError as error:
        raise TrainingRefused(str(error)) from None
    if found != job.base_digest:
        raise TrainingRefused(
            f"{job.base}: was replaced while it was trained on (it was {job.base_digest} at the start, it is {found} "
            "now): materialize base_checkpoint and what follows again, or put the former base back; states are kept"
        )
    return model


def add_adapters(model: nn.Module, lora: Lora, seed: int) -> None:
    """Put low-rank adapters into the decoder's layers, in place; they alone are trained (LoRA, arXiv 2106.09685)."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise TrainingRefused("training.lora needs the package peft: install the extra `lora`") from None
    targets = "|".join(re.escape(name) for name in lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number: it only scales
        lora_dropout=lora.dropout,
        target_modules=rf"decoder\..*\.({targets})",
    )
    model.requires_grad_(False)
    torch.manual_seed(seed)
    inject_adapter_in_model(config, model)


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to the layer it adapts and take it away, in place."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, place = name.rpartition(".")
            setattr(model.get_submodule(parent), place, module.get_base_layer())
