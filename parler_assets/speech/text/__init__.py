"""Texts as they are spoken: what is written in digits, signs and abbreviations, in words of the text's language."""

from __future__ import annotations

from parler_assets.speech.text.normalise import spoken_form

__all__ = ["spoken_form"]
