"""Resumable checkpoints: trained weights and optimiser state as safetensors, complete or absent.

A checkpoint is written beside its place and renamed, so that a kill never leaves half of one. No random state is kept:
every update seeds itself from its number (`loop.seed_update`). The learning rate follows from the step alone.
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

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "trainer_state.json"


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, state: dict) -> None:
    """Write a checkpoint atomically. Without an optimizer it holds weights only.

    Raises:
        OSError: the disk is full; nothing of the attempt is left.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        parameters = trained(model)
        save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, temporary / WEIGHTS)
        if optimizer is not None:
            save_file(_optimizer_tensors(parameters, optimizer), temporary / OPTIMIZER)
        (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
        _sync(temporary)
        put_in_place(temporary, folder)
    except SafetensorError as error:
        raise OSError(f"{folder}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a finished folder to its place; an older one there is moved aside first and then removed."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def rotate(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what killed attempts left behind."""
    for folder in [*sorted(checkpoints.glob("step-*"))[:-keep], *checkpoints.glob(".*")]:
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
