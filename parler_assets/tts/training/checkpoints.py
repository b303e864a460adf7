"""Resumable checkpoints: trained weights and optimiser state as safetensors, complete or absent.

A checkpoint is written beside its place and renamed, so that a kill never leaves half of one; the digests of its files
are in it (`states`). No random state is kept: every update seeds itself from its number (`loop.seed_update`). The
learning rate follows from the step alone.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from parler_assets import storage
from parler_assets.tts.training import metrics
from parler_assets.tts.training.job import Job, TrainingRefused
from parler_assets.tts.training.states import STATE, seal

WEIGHTS, OPTIMIZER = "weights.safetensors", "optimizer.safetensors"
__all__ = ["OPTIMIZER", "STATE", "WEIGHTS"]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, state: dict, log: Path | None = None
) -> None:
    """Write a checkpoint atomically, with a copy of the log. Without an optimizer it holds weights only.

    Raises:
        OSError: it cannot be written (the disk is full, say), with sizes; nothing of the attempt is left.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        parameters = trained(model)
        save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, temporary / WEIGHTS)
        if optimizer is not None:
            save_file(_optimizer_tensors(parameters, optimizer), temporary / OPTIMIZER)
        (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
        if log and log.is_file():
            shutil.copyfile(log, temporary / metrics.FILE)
        seal(temporary)
        _sync(temporary)
        put_in_place(temporary, folder)
    except (SafetensorError, OSError) as error:
        raise OSError(f"{folder}: {error}; {_sizes(folder, model, optimizer)}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_room(job: Job, model: nn.Module) -> None:
    """Stop before the first update where what a training keeps will not fit beside what is kept already.

    These are as many states as are kept and one more while it is written, the best weights (twice) and the result.

    Raises:
        TrainingRefused: with what is needed and what is free.
    """
    weights = sum(p.numel() * p.element_size() for p in trained(model).values())
    kept, result = job.settings.keep_checkpoints + 1, sum(f.stat().st_size for f in job.base.glob("*.safetensors"))
    needed = 3 * weights * kept + 2 * weights * job.settings.keep_best + result
    there = sum(file.stat().st_size for place in (job.checkpoints, job.best) for file in place.rglob("*.safetensors"))
    try:
        storage.check_room(job.folder, needed - there, f"what this training keeps (states: {kept})")
    except storage.DiskError as error:
        raise TrainingRefused(f"{error}, or lower training.keep_checkpoints") from None


def _sizes(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> str:
    """What a checkpoint takes, both moments included, against what is free once a failed attempt is removed."""
    weights = sum(p.numel() * p.element_size() for p in trained(model).values())
    free = shutil.disk_usage(next(path for path in folder.parents if path.exists())).free
    return f"it takes {weights * (3 if optimizer else 1) / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"


def put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a finished folder to its place; an older one there is moved aside first and then removed."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def rotate(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, what killed attempts left, and damaged ones that were replaced."""
    for folder in [
        *sorted(checkpoints.glob("step-*"))[:-keep],
        *checkpoints.glob(".*"),
        *checkpoints.glob("damaged-*"),
    ]:
        shutil.rmtree(folder, ignore_errors=True)


def load_weights(folder: Path, model: nn.Module) -> None:
    """Copy a checkpoint's trained weights into the model, in place."""
    saved, parameters = load_file(folder / WEIGHTS), trained(model)
    if saved.keys() != parameters.keys():
        odd = sorted(saved.keys() ^ parameters.keys())
        raise ValueError(
            f"{folder}: holds other parameters than this model trains ({odd[0]}); remove it to start afresh"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])


def load_optimizer(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give every trained parameter its optimiser state back."""
    saved, parameters = load_file(folder / OPTIMIZER), trained(model)
    for key, value in saved.items():
        name, _, entry = key.rpartition(":")
        parameter = parameters[name]
        optimizer.state[parameter][entry] = value.to(parameter.device)


def _optimizer_tensors(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    return {
        f"{name}:{key}": value.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for key, value in optimizer.state[parameter].items()
    }


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
