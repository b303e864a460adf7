"""Parler-TTS: model, training data, training, synthesis, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parler_assets.tts.generation.api import ParlerTTSForConditionalGeneration

__all__ = ["ParlerTTSForConditionalGeneration"]


def __getattr__(name: str) -> Any:
    """The model, imported when first asked for: torch takes seconds to load."""
    if name in __all__:
        from parler_assets.tts.generation import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
