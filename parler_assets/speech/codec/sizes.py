"""Sizes that a configuration states, held against the header of its weights before anything is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from parler_assets.intake import Refusal
from parler_assets.intake.sounds import RATES

LARGEST = 1 << 24  # of any whole number in a configuration
UNSEEN = 1 << 16  # of a size that the weights do not tell
Shapes = Mapping[str, tuple[int, ...]]
_QUANTIZERS = r"(?:.*\.)?quantizer\.quantizers\.(\d+)\."


def refuse_codec_sizes(section: Mapping[str, Any], shapes: Shapes) -> None:
    """Codebooks and entries that a codec's section states and its weights, in whichever naming, do not have.

    Rates and ratios, which no weights tell, are those of a codec of sound.

    Raises:
        Refusal: naming the field, what it says and what the weights have.
    """
    refuse_large(section, "")
    rate, ratios = section.get("sampling_rate", RATES[0]), section.get("downsampling_ratios", [1])
    if not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise Refusal(f"sampling_rate is {rate!r:.40}, no whole number from {RATES[0]} to {RATES[1]}")
    if not (isinstance(ratios, list) and ratios and all(isinstance(ratio, int) and ratio > 0 for ratio in ratios)):
        raise Refusal(f"downsampling_ratios is {ratios!r:.40}, no list of whole numbers above 0")
    codebooks = counted(shapes, _QUANTIZERS)
    for field in ("n_codebooks", "num_codebooks"):
        same(field, section.get(field), codebooks)
    tables = {shape for name, shape in shapes.items() if re.search(r"quantizers\.\d+\.codebook\.weight$", name)}
    for entries in {shape[0] for shape in tables if shape}:
        same("codebook_size", section.get("codebook_size"), entries)


def counted(shapes: Iterable[str], pattern: str) -> int:
    found = {match[1] for name in shapes if (match := re.match(pattern, name)) and len(match[1]) < 10}
    return len(found)


def same(field: str, said: Any, there: int) -> None:
    """Fewer than the weights have cost nothing, and are refused where names and shapes are compared."""
    if isinstance(said, int) and said > (there or UNSEEN):
        raise Refusal(f"{field} is {said}, the weights have {there}: config.json and weights do not belong together")


def refuse_large(value: Any, key: str) -> None:
    for name, number in _numbers(value, key):
        if abs(number) > LARGEST:
            raise Refusal(f"{name} is {number}, and no whole number above {LARGEST} is believed")


def _numbers(value: Any, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, int):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, key)
