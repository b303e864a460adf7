"""Does a voice change while it speaks? The first third of a sample against its last, and words lost in long texts.

Measured on the prompts of several sentences, and on real clips and their copies for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.recipe import Annotation
from parler_assets.speech.audio import Clip
from parler_assets.tts.scoring.features import features
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.statistics import Missing, Outcome, bootstrap, mean, ratio

LEAST_SECONDS = 1.5  # seconds of a sample whose thirds can still be measured
PARTS = ("first", "last")


def drift_parts(rows: Sequence[Mapping], clips: Sequence[Clip], annotation: Annotation, device: str) -> list[dict]:
    """`first_` and `last_` `pitch`, `level` (dB) and `features` of each long sample; None for all others."""
    from parler_assets.speech.annotation.stage import annotate

    chosen = [i for i, row in enumerate(rows) if row["kind"] in ("long", "clip") and clips[i].seconds >= LEAST_SECONDS]
    thirds = [part for index in chosen for part in _thirds(clips[index])]
    measured = annotate(thirds, [""] * len(thirds), annotation, device, room=False).to_pylist() if thirds else []
    made: list[dict] = [
        {f"{part}_{name}": None for part in PARTS for name in ("pitch", "level", "features")} for _ in rows
    ]
    for place, (clip, tag) in enumerate(zip(thirds, measured, strict=True)):
        row, part = made[chosen[place // 2]], PARTS[place % 2]
        row[f"{part}_pitch"] = tag["utterance_pitch_mean"]
        row[f"{part}_level"] = float(10 * np.log10(np.mean(clip.samples.astype(np.float64) ** 2) + 1e-10))
        row[f"{part}_features"] = features(clip, {**tag, "duration": clip.seconds}).astype("float32").tolist()
    return made


def _thirds(clip: Clip) -> tuple[Clip, Clip]:
    size = len(clip.samples) // 3
    return Clip(clip.samples[:size], clip.rate), Clip(clip.samples[-size:], clip.rate)


def drift_scores(system: str, rows: Sequence[Mapping], speaker: Probe | None) -> list[Outcome]:
    """Change of pitch (semitones) and level (dB), without sign, and of how surely the speaker is heard (with sign)."""
    long = [row for row in rows if row.get("first_features")]
    pitches = [(row["first_pitch"], row["last_pitch"]) for row in long if row["first_pitch"] and row["last_pitch"]]
    scores = [
        mean("drift_pitch_semitones", system, [12 * abs(np.log2(last / first)) for first, last in pitches]),
        mean("drift_level_db", system, [abs(row["last_level"] - row["first_level"]) for row in long]),
    ]
    known = [row for row in long if speaker and row["speaker"] in speaker.classes]
    if not speaker or speaker.unavailable or not known:
        reason = (speaker and speaker.unavailable) or "no long sample of a known speaker"
        return [*scores, Missing("drift_speaker", system, reason)]
    asked = [row["speaker"] for row in known]
    first, last = (speaker.probability(np.array([row[f"{part}_features"] for row in known]), asked) for part in PARTS)
    return [*scores, mean("drift_speaker", system, last - first, "last third minus first")]


def long_word_errors(system: str, rows: Sequence[Mapping]) -> Outcome:
    """Word error rate of the long texts alone."""
    pairs = [(row["word_errors"], row["words"]) for row in rows if row["kind"] == "long" and row.get("words")]
    return bootstrap("long_word_error_rate", system, np.reshape(pairs, (-1, 2)), ratio)
