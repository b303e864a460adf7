"""Scores of samples that are no speech: silent, cut at the limit, far too short or long; and what a second costs."""

from __future__ import annotations

from collections.abc import Sequence

from parler_assets.tts.scoring.statistics import Outcome, mean, proportion


def sanity_scores(system: str, rows: Sequence[dict]) -> list[Outcome]:
    scores = [
        proportion("silent", system, [row["silent"] for row in rows]),
        proportion("length_plausible", system, [row["length_plausible"] for row in rows]),
    ]
    made = [row for row in rows if row["ended"] is not None]
    if made:
        scores.append(proportion("stopped_by_itself", system, [row["ended"] for row in made]))
        factors = [row["seconds_to_generate"] / row["duration"] for row in made if row["duration"]]
        scores.append(mean("real_time_factor", system, factors, "wall seconds per second of audio, in batches"))
    return scores
