"""Where a loaded model lies and in which numbers, by what `from_pretrained` was given."""

from __future__ import annotations

from typing import Any

import torch

from parler_assets.tts.model.config import ParlerTTSConfig


def one_device(device_map: Any) -> Any:
    """A device, of what transformers takes as a map of devices.

    Raises:
        ValueError: a map that spreads a model over several devices.
    """
    if isinstance(device_map, dict) and len(set(device_map.values())) == 1:
        (device_map,) = set(device_map.values())
    if device_map == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if isinstance(device_map, dict) or device_map in ("balanced", "balanced_low_0", "sequential"):
        raise ValueError(f"device_map={device_map!r}: this model lies on one device; name it, such as 'cuda:0'")
    try:
        return torch.device("cpu" if device_map is None else device_map)
    except (RuntimeError, TypeError):
        raise ValueError(f"device_map={device_map!r}: no device: give 'cpu', 'cuda', 'cuda:0' or 'auto'") from None


def one_dtype(dtype: Any, config: ParlerTTSConfig, of_file: torch.dtype) -> torch.dtype:
    """The type that all weights get; "auto" as in transformers: the configuration's, else that of the file.

    Raises:
        ValueError: not one type of numbers with fractions.
    """
    if dtype == "auto":
        dtype = getattr(config, "dtype", None) or of_file
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype={dtype!r}: all weights have one type: torch.bfloat16, 'bfloat16', or 'auto'")
    return found
