"""In which precision a checkpoint computes when it speaks. Everybody who uses one asks here."""

from __future__ import annotations

import logging
import os

import torch

SETTING = "PARLER_PRECISION"  # in the environment: decides where the recipe leaves it to the machine
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

# The codec stays in float32 everywhere. In bfloat16 10 % of the sample codec's first codes and 23 % of its fourth are
# others, and what it decodes lies 32 dB over its own rounding; and it takes little of the time.
CODEC_DTYPE = torch.float32

_log = logging.getLogger(__name__)


def inference_dtype(device: str, wanted: str = "auto") -> torch.dtype:
    """What text encoder and decoder compute in on a device, said in the log.

    Args:
        wanted: "float32", "bfloat16", or "auto": what the environment's PARLER_PRECISION says, else bfloat16 where the
            device has it in hardware, else float32.

    Raises:
        ValueError: another precision.
    """
    chosen, why = wanted, "as set"
    if chosen == "auto":
        chosen, why = os.environ.get(SETTING) or "auto", f"as {SETTING} says"
    if chosen == "auto":
        has, why = has_bfloat16(device)
        chosen = "bfloat16" if has else "float32"
    if chosen not in PRECISIONS:
        raise ValueError(f"precision {chosen!r} ({why}): it must be auto, {' or '.join(PRECISIONS)}")
    _log.info("speaking on %s in %s, %s; the codec in float32", device, chosen, why)
    return PRECISIONS[chosen]


def has_bfloat16(device: str) -> tuple[bool, str]:
    """Whether a device multiplies in bfloat16 without emulating it, and why."""
    if device.startswith("cuda"):
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return has, f"since {torch.cuda.get_device_name(device)} has {'' if has else 'no '}bfloat16"
    if device != "cpu":
        return False, "since only CPUs and CUDA devices are asked for more"
    flags = [flag for flag in ("avx512_bf16", "amx_bf16", "bf16") if torch.cpu.get_capabilities().get(flag)]
    return bool(flags), f"by the CPU's {flags[0]}" if flags else "since the CPU has no bfloat16"
