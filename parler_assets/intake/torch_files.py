"""Weights that torch wrote: a zip of plain bytes and a pickle, which may name tensors and nothing that takes room."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parler_assets.intake.files import MIB, open_file
from parler_assets.intake.refusal import Refusal

MOST = 1024 * MIB  # of a file
PICKLE = 4 * MIB  # of what says how its tensors are called
REMEDY = "fetch it again from where it was published"
_NAMES = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)|(__builtin__|builtins) (set|int|float|complex|dict|list|tuple)"
    r"|torch (\w+Storage|Size|device|(b?float|u?int|complex)\d+|bool)|torch._utils _rebuild_(tensor_v2|parameter)"
)


def read_torch(path: Path, foreign: Iterable[str] = ()) -> Any:
    """What `torch.save` stored, tensors on the CPU. No code runs, and nothing becomes larger than the file.

    Args:
        foreign: modules, each with its dot, whose classes are replaced by empty ones.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: no such file of torch's, damaged, too large, packed, or naming what no weights need.
    """
    import torch

    with open_file(path, MOST) as file:
        try:
            names = _named(file, path)
            strange = sorted(name for name in names if not _NAMES.fullmatch(name))
            stubs = [name.replace(" ", ".") for name in strange if name.startswith(tuple(foreign) or "\0")]
            if len(stubs) < len(strange):
                raise Refusal(f"names {strange[0]!r:.80}, which no weights need", path)
            file.seek(0)
            empty: list[Any] = [(type("Stub", (Stub,), {}), name) for name in stubs]
            with torch.serialization.safe_globals(empty):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Refusal:
            raise
        except Exception as error:  # whatever zipfile, pickletools and torch make of bytes that they did not write
            told = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise Refusal(f"not weights that torch wrote, or cut off ({told:.200}); {REMEDY}", path) from None


class Stub:
    """Stands for a class that a file names and nothing here needs; keeps the attributes it is given."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


def _named(file: Any, path: Path) -> set[str]:
    """What the pickle names, as `module name`, once the zip holds no more than the file has bytes."""
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > size or len({p.filename for p in parts}) < len(parts):
            raise Refusal(f"is packed, and would become larger than it is; {REMEDY}", path)
        pickles = [part for part in parts if part.filename.endswith(".pkl")]
        if sum(part.file_size for part in pickles) > PICKLE:
            raise Refusal(f"names of more than {PICKLE // MIB} MiB; {REMEDY}", path)
        found = [step for part in pickles for step in pickletools.genops(archive.read(part))]
    if any(step.name == "STACK_GLOBAL" or step.name.startswith("EXT") for step, _, _ in found):
        raise Refusal(f"names what it makes in a way that torch never writes; {REMEDY}", path)
    return {str(name) for step, name, _ in found if step.name in ("GLOBAL", "INST")}
