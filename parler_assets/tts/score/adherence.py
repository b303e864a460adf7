"""Is speech what its description asked for? Requests beside what the corpus's own instruments measure.

A row here is a dict of one sample: what was asked, and the tags and bins measured. For real clips and their copies the
request is what was measured on the real clip, so that `copy` shows what the codec alone loses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.tts.score.numbers import Outcome, bootstrap, correlation, linear, mean, proportion

RATES = (
    "very slowly",
    "quite slowly",
    "slightly slowly",
    "moderate speed",
    "slightly fast",
    "quite fast",
    "very fast",
)
BETWEEN_GENDERS = 165.0  # Hz; between the usual means of men (about 120) and women (about 210)

Row = Mapping
Genders = Mapping[str, str]


def rate_scores(system: str, rows: Sequence[Row]) -> list[Outcome]:
    """Speaking rate asked for against measured: exact label, within one label, rank correlation."""
    asked = [row for row in rows if row.get("rate") in RATES and row.get("speaking_rate") in RATES]
    steps = np.array([RATES.index(row["speaking_rate"]) - RATES.index(row["rate"]) for row in asked], int)
    pairs = [(RATES.index(row["rate"]), row["rate_measured"]) for row in asked if row.get("rate_measured")]
    return [
        proportion("rate_exact", system, list(steps == 0)),
        proportion("rate_within_one", system, list(abs(steps) <= 1)),
        bootstrap("rate_spearman", system, np.reshape(pairs, (-1, 2)), correlation, least=3),
    ]


def monotonicity(system: str, rows: Sequence[Row]) -> Outcome:
    """Share of pairs, same speaker, style and text, in which the faster request is the faster speech."""
    groups = defaultdict(list)
    for row in rows:
        if row.get("rate") in RATES and row.get("rate_measured"):
            key = (row["speaker"], row["style"], row["text"])
            groups[key].append((RATES.index(row["rate"]), row["rate_measured"]))
    pairs = [
        first[1] < second[1] for group in groups.values() for first in group for second in group if first[0] < second[0]
    ]
    return proportion("rate_monotone", system, pairs, "chance is 0.5; pairs of one text are not independent")


def gender_score(system: str, rows: Sequence[Row], genders: Genders) -> Outcome:
    """Gender heard in the pitch (a threshold at 165 Hz) against the named speaker's; whispers have no pitch."""
    voiced = [row for row in rows if row["speaker"] in genders and row.get("utterance_pitch_mean")]
    heard = ["male" if row["utterance_pitch_mean"] < BETWEEN_GENDERS else "female" for row in voiced]
    hits = [genders[row["speaker"]] == gender for row, gender in zip(voiced, heard, strict=True)]
    return proportion("speaker_gender", system, hits, "voiced samples only")


def pitch_scores(system: str, rows: Sequence[Row], means: Mapping[str, float]) -> list[Outcome]:
    """Pitch against the named speaker's mean in training clips: correlation, and error in semitones."""
    pairs = [
        (row["utterance_pitch_mean"], means[row["speaker"]])
        for row in rows
        if row["speaker"] in means and row.get("utterance_pitch_mean")
    ]
    semitones = [12 * abs(np.log2(measured / named)) for measured, named in pairs]
    return [
        bootstrap("pitch_correlation", system, np.reshape(pairs, (-1, 2)), linear, least=3),
        mean("pitch_error_semitones", system, semitones),
    ]


def label_confusion(rows: Sequence[Row], asked: str, measured: str, labels: Sequence[str]) -> dict:
    """Counts (asked, measured) of labels, with the samples that have no measured label counted apart."""
    counts = np.zeros((len(labels), len(labels)), int)
    unmeasured = 0
    for row in rows:
        if row.get(asked) not in labels:
            continue
        if row.get(measured) in labels:
            counts[labels.index(row[asked]), labels.index(row[measured])] += 1
        else:
            unmeasured += 1
    return {"labels": list(labels), "counts": counts.tolist(), "unmeasured": unmeasured}


def shuffled(rows: Sequence[Row], keys: Sequence[str], seed: int = 0) -> list[dict]:
    """The same samples with their requests dealt out at random: what chance would score."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return [{**row, **{key: rows[other][key] for key in keys}} for row, other in zip(rows, order, strict=True)]
