"""What the decoder reads of a batch: descriptions and transcripts, each with its padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class DecoderInputs:
    """What the decoder reads besides codes.

    Attributes:
        states: (B, S, d) for the cross-attention; `state_mask` (B, S) is true where they are real.
        described: how many of them describe; with `prompt_cross_attention` the prompt's follow.
        prompt: the embedded prompt (B, P, d) that stands before the codes, with `padding` (B,) positions in front.
        count_padding: whether these are counted as positions.
    """

    states: Tensor
    state_mask: Tensor | None
    described: int
    prompt: Tensor | None = None
    padding: Tensor | None = None
    count_padding: bool = True

    @property
    def prompt_length(self) -> int:
        """P, the positions that the prompt takes before the codes."""
        return 0 if self.prompt is None else self.prompt.shape[1]

    def repeated(self, times: int) -> DecoderInputs:
        """Every sample `times` times, one after the other."""
        return self if times == 1 else self._mapped(lambda part: part.repeat_interleave(times, 0))

    def guided(self) -> DecoderInputs:
        """The batch, and after it the batch without descriptions: their states are zeros that nobody sees."""
        mask = self.states.new_ones(self.states.shape[:2]) if self.state_mask is None else self.state_mask
        undescribed, unseen = self.states.clone(), mask.bool().clone()
        undescribed[:, : self.described], unseen[:, : self.described] = 0, False
        both = self._mapped(lambda part: torch.cat([part, part]))
        return replace(both, states=torch.cat([self.states, undescribed]), state_mask=torch.cat([mask.bool(), unseen]))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> DecoderInputs:
        parts = {name: getattr(self, name) for name in ("states", "state_mask", "prompt", "padding")}
        changed: dict[str, Any] = {name: None if part is None else change(part) for name, part in parts.items()}
        return replace(self, **changed)


def pad_left(ids: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Prompts with their padding moved to the front, so that speech follows its text; no mask when none is padded."""
    if ids is None or mask is None or bool(mask.all()):
        return ids, None
    order = mask.bool().to(torch.uint8).argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)
