"""The levers of a training step. Each can be taken away: then the reference's way is back, the others stay."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from unittest.mock import patch

import torch
from torch.nn import functional

ASSEMBLY = "parler_assets.tts.training.assembly"


@dataclass(frozen=True)
class Lever:
    """What takes it away: settings of the training, or a part replaced while the training is assembled and runs."""

    changes: dict = field(default_factory=dict)
    replace: Callable[[], AbstractContextManager] = nullcontext
    cpu_only: bool = False


def padded() -> AbstractContextManager:
    return patch(f"{ASSEMBLY}._packed", lambda *_: False)


def explicit_attention() -> AbstractContextManager:
    """All scores and their softmax, the half that nobody sees too."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    stack = ExitStack()
    stack.enter_context(patch("parler_assets.tts.model.varlen._HALF", ()))  # a GPU's kernel for packed clips
    stack.enter_context(sdpa_kernel(SDPBackend.MATH))
    return stack


def logits_everywhere() -> AbstractContextManager:
    def everywhere(self, hidden, targets):
        return self.decoder.logits(hidden.flatten(0, -2)), targets.flatten(0, -2)

    return patch("parler_assets.tts.model.parler.ParlerTTSModel._learnt", everywhere)


def separate_heads() -> AbstractContextManager:
    def logits(self, hidden):
        weights = self.head_weights().chunk(self.config.num_codebooks)
        return torch.stack([functional.linear(hidden, weight) for weight in weights], dim=-2)

    return patch("parler_assets.tts.model.decoder.CodesDecoder.logits", logits)


def plain_optimiser() -> AbstractContextManager:
    adam = torch.optim.AdamW
    return patch("torch.optim.AdamW", lambda *given, **options: adam(*given, **options | {"fused": False}))


EVERYTHING, MEMORY = "everything on", "memory kept by the allocator"
LEVERS = {
    EVERYTHING: Lever(),
    "packed, not padded": Lever(replace=padded),
    "similar lengths together (padded)": Lever({"group_by_length": False}, padded),
    "fused attention": Lever(replace=explicit_attention),
    "no checkpointing": Lever({"gradient_checkpointing": True}),
    "descriptions encoded once": Lever(replace=lambda: patch(f"{ASSEMBLY}._text_states", lambda *_: None)),
    "logits at targets only": Lever(replace=logits_everywhere),
    "all heads one product": Lever(replace=separate_heads),
    "fused AdamW": Lever(replace=plain_optimiser),
    MEMORY: Lever(cpu_only=True),  # the environment of the process
}
