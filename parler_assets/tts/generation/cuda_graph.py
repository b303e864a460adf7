"""A step that changes buffers in place, captured as a CUDA graph: one launch instead of hundreds of kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

_log = logging.getLogger(__name__)


class GraphedStep:
    """Runs `step`; on a CUDA device from the second time on as a graph, on others as it is.

    A graph replays on the same addresses: `forget` it whenever a buffer was replaced. The first run after that is the
    one that loads kernels and work space, which cannot happen during a capture. A device that cannot capture, for want
    of memory or because another program's work cannot be, goes on without.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self.step, self.captures = step, device.type == "cuda"
        self.graph: torch.cuda.CUDAGraph | None = None
        self.warm = False

    def forget(self) -> None:
        self.graph, self.warm = None, False

    def run(self) -> None:
        if not self.captures or not self.warm:
            self.step()
            self.warm = True
            return
        if self.graph is None:
            self.graph = self._captured()
        if self.graph is None:
            self.captures = False
            self.step()
        else:
            self.graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph | None:
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # captures only: nothing runs until it is replayed
                self.step()
        except RuntimeError as error:
            _log.warning("steps cannot be captured as a CUDA graph, generation goes on more slowly: %s", error)
            return None
        return graph
