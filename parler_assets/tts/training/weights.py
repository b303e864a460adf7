"""From the base checkpoint to the weights that training changes, and back to a checkpoint in the published layout."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parler_assets.recipe import Lora, Training
from parler_assets.storage import write_json
from parler_assets.tts.base import known_files
from parler_assets.tts.training import checkpoints
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


def write_result(job: Job, weights: Path, provenance: dict) -> None:
    """The base with the trained weights of a checkpoint folder, in the published layout, complete or absent.

    Tokenizers and other small files of the base come along; `provenance.json` says what the weights were made from.
    """
    model = load_model(job.base, job.settings)
    checkpoints.load_weights(weights, model)
    if job.settings.lora:
        merge_adapters(model)
    for left_behind in job.folder.glob(f".{job.result.name}.*"):
        shutil.rmtree(left_behind)
    temporary = job.folder / f".{job.result.name}.{os.getpid()}.tmp"
    try:
        model.save_pretrained(temporary)
        _copy_missing(job.base, temporary)
        write_json(temporary / "provenance.json", provenance)
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
