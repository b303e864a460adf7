"""SNR, C50 and speech duration as DataSpeech measures them, by Brouhaha, with the chunks of many clips in one batch.

Chunks of six seconds every 0.6 s; the tail that fills no chunk is repeated until it does; predictions are overlapped
and added under a Hamming window. Era a is the mean over all frames. Era b is the mean over frames where somebody
speaks, one frame late as in the original. Era a tags were published with an earlier Brouhaha that padded the tail
differently. The fast mode takes a chunk every three seconds: a fifth of the work, at the cost of some labels
(benchmarks/annotation.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from parler_assets.hub import weights
from parler_assets.recipe import Annotation
from parler_assets.speech.annotation.chunks import Chunks
from parler_assets.speech.annotation.measurements import NO_SPEECH, Room
from parler_assets.speech.annotation.networks import brouhaha as brouhaha_network
from parler_assets.speech.audio import Clip

RATE = 16000
FRAME = 270  # samples from one frame to the next
FRAME_STEP = FRAME / RATE  # seconds
SPEECH_ABOVE = 0.780
FAST_STEP = 3.0  # seconds
AT_ONCE = {"cpu": 32, "cuda": 512}  # of one forward pass


class Brouhaha:
    """Brouhaha on clips at 16 kHz."""

    def __init__(self, device: str = "cpu", settings: Annotation | None = None, fast: bool = False) -> None:
        path = weights.brouhaha(settings or Annotation()).fetch()
        self.network, seconds, step = brouhaha_network.load(path, device)
        self.device = torch.device(device)
        self.chunks = Chunks(round(seconds * RATE), round((FAST_STEP if fast else step) * RATE), FRAME)

    def __call__(self, clips: Sequence[Clip]) -> list[Room]:
        return [measured(frames) for frames in self.frames(clips)]

    def frames(self, clips: Sequence[Clip]) -> Iterator[np.ndarray]:
        """Speech probability, SNR and C50 of each frame, (T, 3) for each clip."""
        predictions = self._predictions(chunk for clip in clips for chunk in self.chunks.of(clip.samples))
        for clip in clips:
            of_clip = [next(predictions) for _ in self.chunks.starts(len(clip.samples))]
            yield self.chunks.overlapped(of_clip, len(clip.samples))

    @torch.inference_mode()
    def _predictions(self, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Predictions (352, 3) chunk by chunk, computed in batches."""
        batch: list[np.ndarray] = []
        for chunk in chunks:
            batch.append(chunk)
            if len(batch) == AT_ONCE[self.device.type]:
                yield from self._predict(batch)
                batch = []
        if batch:
            yield from self._predict(batch)

    def _predict(self, batch: list[np.ndarray]) -> np.ndarray:
        return self.network(torch.from_numpy(np.stack(batch)).to(self.device)).cpu().numpy()


def measured(frames: np.ndarray) -> Room:
    """The numbers that DataSpeech makes of frames (T, 3), in both eras."""
    speech, snr, c50 = frames.T
    active = speaking(speech)
    seconds = float(active.sum() - active[-1]) * FRAME_STEP  # a segment that is open at the end ends at the last frame
    inside = np.concatenate([[False], active[:-1]]) & ~((snr == 0) & (c50 == 0))
    snr_a, c50_a = float(snr.mean()), float(c50.mean())
    if not inside.any():
        return Room(seconds, snr_a, c50_a, reason=NO_SPEECH)
    return Room(seconds, snr_a, c50_a, float(snr[inside].mean()), float(c50[inside].mean()))


def speaking(probability: np.ndarray) -> np.ndarray:
    """Which frames (T,) are speech; one exactly on the threshold is what the frame before it was."""
    active = probability > SPEECH_ABOVE
    for frame in np.flatnonzero(probability == np.float32(SPEECH_ABOVE)):
        active[frame] = frame > 0 and active[frame - 1]
    return active
