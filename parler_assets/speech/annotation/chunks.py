"""Long clips in chunks of one length, as a network hears them, and what it says of them put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunks:
    """Chunks of `length` samples every `step` samples, at `rate`; the network's frames are `frame` samples apart."""

    length: int
    step: int
    frame: int
    rate: int = 16000

    def starts(self, samples: int) -> range:
        """Where the chunks of so many samples begin, the one with the tail included."""
        complete = (samples - self.length) // self.step + 1 if samples >= self.length else 0
        return range(0, (complete + self._has_tail(samples)) * self.step, self.step)

    def of(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Chunks (length,) of samples (N,), the last one repeated from its beginning until it is full."""
        for start in self.starts(len(samples)):
            piece = samples[start : start + self.length]
            yield piece if len(piece) == self.length else np.resize(piece, self.length)

    def overlapped(self, predictions: Sequence[np.ndarray], samples: int) -> np.ndarray:
        """Overlap-add of K predictions (F, C) under a Hamming window to frames (T, C); 0 where no chunk reaches."""
        (F, C), K = predictions[0].shape, len(predictions)
        starts = np.rint(np.arange(K) * self.step / self.frame).astype(int)
        T = int(np.rint((self.length + (K - 1) * self.step) / self.frame)) + 1
        window = np.hamming(F)[:, None]
        added, weight = np.zeros((T, C), np.float32), np.zeros((T, 1), np.float32)
        for start, prediction in zip(starts, predictions, strict=True):
            added[start : start + F] += prediction * window
            weight[start : start + F] += window
        frames = added / np.maximum(weight, 1e-12)
        # In seconds, as pyannote divides: at a whole number of frames its rounding may give one less.
        return frames[: int(samples / self.rate // (self.frame / self.rate)) + 1] if self._has_tail(samples) else frames

    def _has_tail(self, samples: int) -> bool:
        return samples < self.length or (samples - self.length) % self.step > 0
