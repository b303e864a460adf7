"""Speech while it is being generated: windows of codes decoded with all the context that the codec can reach."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parler_assets.speech.codec.codec import Codec
from parler_assets.tts.generation.loop import GenerationLoop

FIRST = 8  # frames of the first piece


@torch.no_grad()
def pieces(loop: GenerationLoop, codec: Codec, frames: int, before: int = 0) -> Iterator[list[Tensor]]:
    """New samples (n,) of each sample of the batch, whenever one has `frames` more that will not change.

    `before`: frames of the given codes, which are not given out.
    """
    if frames < 1:
        raise ValueError(f"{frames} frames: a piece has at least one")
    sent = [before] * len(loop.ids)
    wanted = min(FIRST, frames)
    for length in loop.run():
        # the last column completes frame `length - K - 1`, behind which the codec still looks `reach` frames ahead
        if length - loop.pattern.codebooks - codec.reach < max(sent) + wanted:
            continue
        piece = _decoded(loop, codec, sent, final=False)
        if any(len(sound) for sound in piece):
            wanted = frames
            yield piece
    piece = _decoded(loop, codec, sent, final=True)
    if any(len(sound) for sound in piece):
        yield piece


def _decoded(loop: GenerationLoop, codec: Codec, sent: list[int], final: bool) -> list[Tensor]:
    """What each sample has new. `sent` holds how many frames were given out, and is brought up to date."""
    windows, cuts = [], []
    for row, code in enumerate(loop.codes()):
        whole = final or code.shape[1] < loop.length - loop.pattern.codebooks  # it has ended: nothing follows
        start = sent[row]
        end = max(start, code.shape[1] if whole else code.shape[1] - codec.reach)
        first, sent[row] = max(0, start - codec.reach), end
        windows.append(code[:, first : end + codec.reach] if end > start else code[:, :0])
        cuts.append(slice((start - first) * codec.hop, (end - first) * codec.hop))
    return [sound[cut] for sound, cut in zip(codec.decode_tensors(windows), cuts, strict=True)]


class ParlerTTSStreamer:
    """Hands samples from `generate(streamer=...)`, running in a thread, to whoever iterates over it.

    With one sample in the batch it gives arrays (n,), with more a list of B arrays, until all have ended.
    """

    def __init__(
        self,
        model: Any = None,
        device: Any = None,
        play_steps: int = 43,
        stride: Any = None,
        timeout: float | None = None,
    ) -> None:
        """`play_steps`: frames a piece; `timeout`: seconds to wait for one.

        `model`, `device` and `stride` are the original's and have no effect: pieces need no overlap, since a sample is
        given out when nothing that follows can change it.
        """
        self.play_steps, self.timeout = play_steps, timeout
        self._queue: Queue[list[Tensor] | None] = Queue()

    def put(self, piece: list[Tensor]) -> None:
        self._queue.put(piece)

    def end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> ParlerTTSStreamer:
        return self

    def __next__(self) -> np.ndarray | list[np.ndarray]:
        piece = self._queue.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        sounds = [sound.cpu().numpy() for sound in piece]
        return sounds[0] if len(sounds) == 1 else sounds
