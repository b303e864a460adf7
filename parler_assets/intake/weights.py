"""Headers of safetensors files: what tensors there are, without reading one."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from parler_assets.intake.files import MIB, open_file
from parler_assets.intake.refusal import Refusal

HEADER = 16 * MIB
_ANY_SIZE = 1 << 62


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor. The library holds shapes, types and offsets against the length of the file.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: no safetensors, cut off, or with a header that is too large.
    """
    with open_file(path, _ANY_SIZE) as file:
        length = int.from_bytes(file.read(8), "little")
    if length > HEADER:
        raise Refusal(f"a header of {length / MIB:,.0f} MiB, at most {HEADER // MIB} MiB are read", path)
    try:
        with safe_open(path, "numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise Refusal(f"not safetensors or cut off ({error}); fetch it again", path) from None
