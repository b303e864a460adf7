"""Sizes that a codec's configuration states, held against the header of its weights before anything is made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from parler_assets.intake import Refusal
from parler_assets.intake.sizes import Shapes, counted, refuse_large, same
from parler_assets.intake.sounds import RATES

STAGES, HOP = 16, 1 << 16  # of a codec, which the weights tell too late
_TABLE = re.compile(r"quantizers\.\d+\.codebook\.weight$")
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
    if len(ratios) > STAGES or math.prod(ratios) > HOP:
        raise Refusal(f"downsampling_ratios has {len(ratios)} stages, at most {STAGES} and a hop of {HOP} are made")
    codebooks = counted(shapes, _QUANTIZERS)
    for field in ("n_codebooks", "num_codebooks"):
        same(field, section.get(field), codebooks)
    tables = {shape for name, shape in shapes.items() if _TABLE.search(name)}
    for entries in {shape[0] for shape in tables if shape}:
        same("codebook_size", section.get("codebook_size"), entries)
