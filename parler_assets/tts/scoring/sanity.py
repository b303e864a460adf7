"""Samples that are no speech: silent, cut at the limit, far too short or long; and what a second of audio costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parler_assets.speech.audio import Clip
from parler_assets.tts.scoring.statistics import Outcome, mean, proportion

SILENT = 0.003  # root mean square (about -50 dBFS) of the louder half of the frames, below which nothing is heard
SECONDS_PER_CHARACTER = (0.025, 0.25)


def loudness(clip: Clip) -> float:
    """Root mean square of the louder half of 20 ms frames, so that pauses do not count."""
    size = max(1, clip.rate // 50)
    frames = clip.samples[: len(clip.samples) // size * size].reshape(-1, size)
    if not len(frames):
        return 0.0
    powers = np.sort((frames.astype(np.float64) ** 2).mean(axis=1))
    return float(np.sqrt(powers[len(powers) // 2 :].mean()))


def is_silent(clip: Clip) -> bool:
    return loudness(clip) < SILENT


def length_is_plausible(seconds: float, text: str) -> bool:
    """Between 4 and 40 characters a second: outside, words were left out or babbled."""
    fastest, slowest = SECONDS_PER_CHARACTER
    return fastest * len(text) <= seconds <= max(1.0, slowest * len(text))


def sanity_scores(system: str, rows: Sequence[dict]) -> list[Outcome]:
    scores = [
        proportion("silent", system, [row["silent"] for row in rows]),
        proportion("length_plausible", system, [row["length_plausible"] for row in rows]),
    ]
    made = [row for row in rows if row["stopped"] is not None]
    if made:
        scores.append(proportion("stopped_by_itself", system, [row["stopped"] for row in made]))
        factors = [row["seconds_to_generate"] / row["duration"] for row in made if row["duration"]]
        scores.append(mean("real_time_factor", system, factors, "wall seconds per second of audio, in batches"))
    return scores
