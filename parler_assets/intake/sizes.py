"""Sizes that a configuration states, held against the header of its weights before anything is made."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from parler_assets.intake.refusal import Refusal

LARGEST = 1 << 24  # of any whole number in a configuration
UNSEEN = 1 << 16  # of a size that the weights do not tell
PARTS = 64  # layers or experts that the weights do not count
Shapes = Mapping[str, tuple[int, ...]]
_PARTS = re.compile(r"(^|[._])(n_|num_)?\w*(layers?|experts|blocks|stages|depth|codebooks)$")
_NUMBERED = re.compile(r"\.(\d{1,9})(?=\.)")


def refuse_parts(config: Mapping[str, Any], shapes: Shapes) -> None:
    """Layers and experts that the configuration of any model states and its weights do not have.

    Raises:
        Refusal: naming the field, what it says and what the weights have.
    """
    refuse_large(config, "")
    numbers: dict[str, set[str]] = defaultdict(set)
    for name in shapes:
        for found in _NUMBERED.finditer(name):
            numbers[name[: found.start()]].add(found[1])
    most = max(PARTS, *map(len, numbers.values()), *(max(shape, default=0) for shape in _stacked(shapes)))
    for field, said in _numbers(config, ""):
        if _PARTS.search(field) and said > most:
            same(field, said, most)


def _stacked(shapes: Shapes) -> Iterator[tuple[int, ...]]:
    """Experts that are kept in one tensor: its first size counts them."""
    yield ()
    yield from (shape[:1] for name, shape in shapes.items() if "experts" in name and len(shape) == 3)


def counted(shapes: Iterable[str], pattern: str) -> int:
    numbered = re.compile(pattern).match
    found = {match[1] for name in shapes if (match := numbered(name)) and len(match[1]) < 10}
    return len(found)


def same(field: str, said: Any, there: int) -> None:
    """Fewer than the weights have cost nothing, and are refused where names and shapes are compared."""
    if isinstance(said, int) and said > (there or UNSEEN):
        raise Refusal(f"{field} is {said}, the weights have {there}: config.json and weights do not belong together")


def refuse_large(value: Any, key: str) -> None:
    for name, number in _numbers(value, key):
        most = UNSEEN if name.endswith("num_labels") else LARGEST  # a name is made for each label
        if abs(number) > most:
            raise Refusal(f"{name} is {number}, and no whole number above {most} is believed")


def _numbers(value: Any, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, int):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, key)
