"""The only reader of files that are not ours: recipes, tables, cards, headers of audio and of weights.

Whoever wrote them may have meant harm. Size, depth and time are limited before anything is built from a file, names
stay inside the folders that they may lie in, and every error is a `Refusal` that says where and what to do.
"""

from parler_assets.intake.refusal import Refusal

__all__ = ["Refusal"]
