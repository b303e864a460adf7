"""A step that changes buffers in place, recorded as a CUDA graph: one launch instead of hundreds of kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Recording:
    """Runs `step`; on a CUDA device from the second time on as a graph, on others as it is.

    A graph replays on the same addresses: `forget` it whenever a buffer was replaced. The first run after that is the
    one that loads kernels and work space, which cannot happen while recording.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self.step, self.records = step, device.type == "cuda"
        self.graph: torch.cuda.CUDAGraph | None = None
        self.warm = False

    def forget(self) -> None:
        self.graph, self.warm = None, False

    def run(self) -> None:
        if not self.records or not self.warm:
            self.step()
            self.warm = True
            return
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records only: nothing runs until it is replayed
                self.step()
        self.graph.replay()
