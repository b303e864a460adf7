"""How much one prompt's samples differ from seed to seed, beside how much real clips of a speaker and style differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.tts.scoring.statistics import Missing, Outcome, mean, proportion
from parler_assets.tts.synthesis.prompts import base_id


def spread_scores(system: str, rows: Sequence[Mapping]) -> list[Outcome]:
    """Standard deviations over seeds of pitch (semitones) and rate (relative); how often all seeds are one speaker."""
    groups = defaultdict(list)
    for row in rows:
        key = (row["speaker"], row["style"]) if system in ("real", "copy") else base_id(row["prompt"])
        groups[key].append(row)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        names = ("spread_pitch_semitones", "spread_rate", "speaker_every_seed")
        return [Missing(name, system, "one sample of each prompt: set evaluation.seeds to 2 or more") for name in names]
    pitches = [12 * np.log2([r["pitch_measured"] for r in g if r["pitch_measured"]]) for g in several]
    rates = [np.array([r["rate_measured"] for r in g if r["rate_measured"]]) for g in several]
    note = "over seeds of one prompt; real and copy: over clips of one speaker and style"
    heard = [[row.get("speaker_hit") for row in group] for group in several]
    return [
        mean("spread_pitch_semitones", system, [p.std(ddof=1) for p in pitches if len(p) > 1], note),
        mean("spread_rate", system, [r.std(ddof=1) / r.mean() for r in rates if len(r) > 1 and r.mean() > 0], note),
        proportion("speaker_every_seed", system, [all(hits) for hits in heard if None not in hits], note),
    ]
