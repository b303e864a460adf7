"""The loop of generation: columns of codes of a batch, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from parler_assets.tts.generation.cuda_graph import GraphedStep
from parler_assets.tts.generation.decoder import CachedDecoder
from parler_assets.tts.generation.decoding_state import DecodingState
from parler_assets.tts.generation.sampling import Sampling
from parler_assets.tts.model.decoder import CodesDecoder
from parler_assets.tts.model.inputs import DecoderInputs

# Where steps are captured, looking at a result means waiting, and a smaller batch means another capture:
_LOOK = 16  # columns between two looks at which samples have ended
_WORTH = 0.75  # of the batch must go on for the batch to stay as it is


class GenerationLoop:
    """One batch being generated: column after column until every sample has ended.

    Samples that have ended leave the batch: `rows` says which of the B samples are still in it.
    """

    def __init__(
        self,
        decoder: CodesDecoder,
        inputs: DecoderInputs,
        sampling: Sampling,
        prefix: Tensor | None,
        seed: int | Sequence[int] | None,
    ) -> None:
        pattern = self.pattern = decoder.config.pattern
        B, K, M, device = len(inputs.states), pattern.codebooks, sampling.max_length, inputs.states.device
        self.start = self.length = 1 + (0 if prefix is None else prefix.shape[-1])
        uniforms = _uniforms(B, K, M, seed, device) if sampling.do_sample else None
        canvas = pattern.canvas(M, prefix).to(device).expand(B, K, M)
        self.state = DecodingState(pattern, sampling, canvas, self.start, uniforms)
        self.limit, self.guidance = M, sampling.guidance
        self.inputs = inputs.guided() if self.guidance != 1 else inputs
        self.decoder = CachedDecoder(decoder)
        self.cache = self.decoder.start(self.inputs)
        self.rows = torch.arange(B, device=device)
        self.ids = self.state.ids.clone()
        self.ended = torch.zeros(B, dtype=torch.bool, device=device)
        self.broken = torch.zeros((), dtype=torch.bool, device=device)  # whether a logit was no number
        self.step = GraphedStep(self._step, device)

    def run(self) -> Iterator[int]:
        """Generate; yields the number of columns after each new one."""
        going = self._prefill()
        while going:
            yield self.length
            if self.length == self.limit:
                return
            if self.cache.reserve(1):
                self.step.forget()
            self.step.run()
            going = self._counted()

    def _prefill(self) -> bool:
        """Read the prompt and the given columns, choose the first column."""
        x = self.decoder.embed(self._both(self.state.ids[..., : self.start].transpose(1, 2)))
        if self.inputs.prompt is not None:
            x = torch.cat([self.inputs.prompt.to(x.dtype), x], dim=1)
        self.cache.reserve(x.shape[1])
        self._choose(self.decoder(x, self.cache))
        return self._counted()

    def _step(self) -> None:
        """One column more: everything that it changes, it changes in place."""
        self._choose(self.decoder(self.decoder.embed(self._both(self.state.previous())), self.cache))

    def _choose(self, hidden: Tensor) -> None:
        logits = self.decoder.logits(hidden[:, -1])
        if self.guidance != 1:
            described, free = logits.chunk(2)
            logits = free + self.guidance * (described - free)
        self.broken |= ~torch.isfinite(logits).all()
        self.state.choose(logits)

    def _counted(self) -> bool:
        """Count what a step has done, let finished samples go; False when none is left."""
        self.length += 1
        waits = self.rows.device.type != "cpu"  # looking at a result there means waiting for it
        if waits and (self.length - self.start) % _LOOK and self.length < self.limit:
            return True
        finished = self.state.eos.finished()
        count = int(finished.sum())
        if count == 0 or (waits and 0 < len(finished) - count > _WORTH * len(finished)):
            return True
        return self._drop(finished)

    def _drop(self, finished: Tensor) -> bool:
        self._collect()
        going = (~finished).nonzero().squeeze(1)
        self.rows = self.rows[going]
        self.state.keep(going)
        self.cache.keep(self._both(going, len(finished)))
        self.step.forget()
        return len(going) > 0

    def _collect(self) -> None:
        self.ids[self.rows] = self.state.ids
        self.ended[self.rows] = self.state.eos.finished()

    def _both(self, rows: Tensor, offset: int = 0) -> Tensor:
        """The described half of the batch and the half without descriptions, where there is one."""
        return rows if self.guidance == 1 else torch.cat([rows, rows + offset])

    def codes(self) -> list[Tensor]:
        """The frames (K, T) that each sample has so far; a frame with an id that is no code is left out."""
        self._collect()
        frames = self.pattern.undo(self.ids[..., : self.length])
        return [sample[:, (sample < self.pattern.end).all(0)] for sample in frames]


def _uniforms(B: int, K: int, M: int, seed: int | Sequence[int] | None, device: torch.device) -> Tensor:
    """(B, K, M) uniform in [0, 1), each sample's from its own seed; one seed counts upwards over the batch."""
    if seed is None:
        seed = int(torch.randint(2**31, ()))
    seeds = [seed + row for row in range(B)] if isinstance(seed, int) else list(seed)
    if len(seeds) != B:
        raise ValueError(f"{len(seeds)} seeds for {B} samples")
    drawn = [torch.rand(M, K, generator=torch.Generator().manual_seed(one)) for one in seeds]
    return torch.stack(drawn).transpose(1, 2).contiguous().to(device)
