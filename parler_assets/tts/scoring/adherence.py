"""Is speech what its description asked for? Requests beside what the corpus's own instruments measure.

A row here is a dict of one sample: what was asked, and the tags and bins measured. For real clips and their copies the
request is what was measured on the real clip, so that `copy` shows what the codec alone loses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parler_assets.tts.scoring.statistics import Outcome, bootstrap, mean, pearson, proportion, spearman
from parler_assets.tts.synthesis.rates import RATES

BETWEEN_GENDERS = 165.0  # Hz; between the usual means of men (about 120) and women (about 210)

Row = Mapping
Genders = Mapping[str, str]


@dataclass(frozen=True)
class Attribute:
    """One attribute that is asked for by a label: its name in metrics, and the columns of a row.

    `labels` rise with the measured number: faster, clearer, closer, livelier, higher.
    """

    name: str
    asked: str
    label: str
    value: str
    labels: tuple[str, ...] = RATES

    def place(self, row: Row, column: str) -> int | None:
        """Where the row's label stands, lowest 0; None where it has none of these labels."""
        found = row.get(column)
        return self.labels.index(found) if found in self.labels else None


RATE = Attribute("rate", "rate", "speaking_rate", "rate_measured")
OTHERS = ("noise", "reverberation", "speech_monotony", "pitch")


def attributes(labels: Mapping[str, Sequence[str]]) -> list[Attribute]:
    """Rate, and every other attribute that the corpus's bins have labels for."""
    rate = tuple(labels.get("speaking_rate") or RATES)
    found = [Attribute("rate", "rate", "speaking_rate", "rate_measured", rate)]
    named = [name for name in OTHERS if labels.get(name)]
    return found + [Attribute(n, f"{n}_asked", n, f"{n}_measured", tuple(labels[n])) for n in named]


def label_scores(system: str, rows: Sequence[Row], attribute: Attribute = RATE) -> list[Outcome]:
    """Label asked for against measured: exact, within one label, rank correlation with the number measured."""
    name = attribute.name
    placed = [(attribute.place(row, attribute.asked), row) for row in rows]
    asked = [(place, row) for place, row in placed if place is not None]
    steps = np.array(
        [found - place for place, row in asked if (found := attribute.place(row, attribute.label)) is not None]
    )
    pairs = [(place, row[attribute.value]) for place, row in asked if row.get(attribute.value) is not None]
    return [
        proportion(f"{name}_exact", system, list(steps == 0)),
        proportion(f"{name}_within_one", system, list(abs(steps) <= 1)),
        bootstrap(f"{name}_spearman", system, np.reshape(pairs, (-1, 2)), spearman, least=3),
    ]


def monotonicity(system: str, rows: Sequence[Row], attribute: Attribute = RATE) -> Outcome:
    """Share of pairs, same speaker, style and text, in which the higher request is the higher measurement."""
    groups = defaultdict(list)
    for row in rows:
        place, value = attribute.place(row, attribute.asked), row.get(attribute.value)
        if place is not None and value is not None:
            groups[row["speaker"], row["style"], row["text"]].append((place, value))
    pairs = [
        first[1] < second[1] for group in groups.values() for first in group for second in group if first[0] < second[0]
    ]
    note = "chance is 0.5; pairs of one text are not independent"
    return proportion(f"{attribute.name}_monotone", system, pairs, note)


def gender_score(system: str, rows: Sequence[Row], genders: Genders) -> Outcome:
    """Gender heard in the pitch (a threshold at 165 Hz) against the named speaker's; whispers have no pitch."""
    hits = [hit for row in rows if (hit := gender_hit(row, genders)) is not None]
    return proportion("speaker_gender", system, hits, "voiced samples only")


def gender_hit(row: Row, genders: Genders) -> bool | None:
    """Whether the pitch is of the named speaker's gender; None where either is unknown."""
    pitch = row.get("utterance_pitch_mean")
    if not pitch or row["speaker"] not in genders:
        return None
    return genders[row["speaker"]] == ("male" if pitch < BETWEEN_GENDERS else "female")


def pitch_scores(system: str, rows: Sequence[Row], means: Mapping[str, float]) -> list[Outcome]:
    """Pitch against the named speaker's mean in training clips: correlation, and error in semitones."""
    pairs = [
        (row["utterance_pitch_mean"], means[row["speaker"]])
        for row in rows
        if row["speaker"] in means and row.get("utterance_pitch_mean")
    ]
    semitones = [12 * abs(np.log2(measured / named)) for measured, named in pairs]
    return [
        bootstrap("pitch_correlation", system, np.reshape(pairs, (-1, 2)), pearson, least=3),
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
