"""Speech quality without a reference recording, by SQUIM: STOI, PESQ and SI-SDR of a clip's first 15 seconds.

Clips of exactly the same length share a batch; all that are longer than 15 seconds do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from parler_assets.hub import weights
from parler_assets.speech.annotation.measurements import Quality
from parler_assets.speech.audio import Clip

RATE = 16000
LONGEST = 15 * RATE  # samples, as in DataSpeech


def as_quality(row: np.ndarray) -> Quality:
    """Scores (3,) in the order of the network's branches."""
    stoi, pesq, si_sdr = row.tolist()
    return Quality(stoi, pesq, si_sdr)


class Squim:
    """SQUIM on clips at 16 kHz."""

    def __init__(self, device: str = "cpu", batch_seconds: float = 600) -> None:
        from parler_assets.speech.annotation.networks.squim import load

        self.network = load(weights.SQUIM.fetch(), device)
        self.device, self.batch_seconds = device, batch_seconds

    def __call__(self, clips: Sequence[Clip]) -> list[Quality]:
        found: dict[int, Quality] = {}
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            by_length[min(len(clip.samples), LONGEST)].append(index)
        for length, members in by_length.items():
            size = max(1, int(self.batch_seconds * RATE / length))
            for start in range(0, len(members), size):
                batch = members[start : start + size]
                scores = self._scores(np.stack([clips[index].samples[:length] for index in batch]))
                found |= {index: as_quality(row) for index, row in zip(batch, scores, strict=True)}
        return [found[index] for index in range(len(clips))]

    @torch.inference_mode()
    def _scores(self, waveforms: np.ndarray) -> np.ndarray:
        """STOI, PESQ and SI-SDR (B, 3) of waveforms (B, N)."""
        return torch.stack(self.network(torch.from_numpy(waveforms).to(self.device)), dim=1).cpu().numpy()
