"""Sizes that a checkpoint's config.json states, held against the header of its weights before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parler_assets.intake import Refusal
from parler_assets.intake.sizes import Shapes, counted, refuse_large, same
from parler_assets.speech.codec.sizes import refuse_codec_sizes

POSITIONS = 1 << 17  # of a table that weights may leave out
# section, field, and the names of its numbered parts in the weights
_COUNTED = (
    ("text_encoder", "num_layers", r"text_encoder\.encoder\.block\.(\d+)\."),
    ("decoder", "num_hidden_layers", r"decoder\.model\.decoder\.layers\.(\d+)\."),
    ("decoder", "num_codebooks", r"decoder\.model\.decoder\.embed_tokens\.(\d+)\."),
)


def refuse_sizes(config: Mapping[str, Any], shapes: Shapes) -> None:
    """Layers, codebooks and entries that a whole model's configuration states and its weights do not have.

    Raises:
        Refusal: naming the field, what it says and what the weights have.
    """
    refuse_large(config, "")
    for section, field, pattern in _COUNTED:
        same(f"{section}.{field}", config.get(section, {}).get(field), counted(shapes, pattern))
    positions = config.get("decoder", {}).get("max_position_embeddings", 0)
    if isinstance(positions, int) and positions > POSITIONS:
        raise Refusal(f"decoder.max_position_embeddings is {positions}, at most {POSITIONS} are made")
    refuse_codec_sizes(config.get("audio_encoder", {}), shapes)
