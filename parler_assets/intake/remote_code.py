"""What a library says of a checkpoint that brings code of its own, in a sentence: such code is never run."""

from __future__ import annotations

SENTENCE = "it brings Python code of its own, which is never run: choose a model that transformers itself knows"


def first_line(error: BaseException) -> str:
    """The first line of a message that is often a page long, and never the advice to trust remote code."""
    if "trust_remote_code" in str(error):
        return SENTENCE
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
