"""From measurements to words: every tag gets the label of the bin that its value falls in.

DataSpeech's rule: bins are (edge i, edge i + 1], what lies outside falls in the first or last bin. Missing values
have no label here (there they were given the last one). A speaker's clips share one pitch label, by the mean over
that speaker's clips and the edges of the gender. Numeric columns are kept as they are, labels are columns of their
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Annotation, Binning, digest
from parler_assets.speech.binning.edges import ATTRIBUTES, GENDERS, Attribute, edges_and_labels
from parler_assets.storage import Part, StageResult

VERSION = "1"
STAGE = "text_bins"


def bin_corpus(
    tags: Path,
    folder: Path,
    settings: Binning,
    annotation: Annotation,
    pool: Sequence[Path] = (),
    rebuild: bool = False,
) -> StageResult:
    """Every tag column, and a label column for each attribute; `manifest.facts` has edges, labels and era.

    Args:
        pool: the tags that missing edges are estimated from, and over which a speaker's mean pitch is taken; none:
        `tags`.

    Raises:
        BinError: edges and labels that do not fit each other, or files that hold none.
    """
    measured = [Path(path) for path in pool] or [tags]
    facts = edges_and_labels(settings, annotation.era, measured)
    pitches = speaker_pitches(measured)

    def transform(table: pa.Table) -> Part:
        return Part(bin_table(table, facts, pitches))

    def room() -> float:
        return sum(file.stat().st_size for file in tags.glob("part-*.parquet"))

    fingerprint = digest(facts, pitches, VERSION)
    return storage.map_shards(tags, folder, fingerprint, transform, facts=lambda: facts, rebuild=rebuild, room=room)


def bin_table(table: pa.Table, facts: Mapping, pitches: Mapping[str, float] | None = None) -> pa.Table:
    """Tags with label columns by a corpus's `facts`; labels already there are replaced.

    Args:
        pitches: speaker to mean pitch in Hz; None labels each row by its own pitch, as befits generated speech.
    """
    columns = {
        attribute.output: label_values(
            values_of(table, attribute, facts["era"]),
            facts["edges"][attribute.edges],
            facts["labels"][attribute.output],
        )
        for attribute in ATTRIBUTES
        if attribute.edges in facts["edges"]
    }
    columns["pitch"] = _pitch_labels(table, facts, pitches)
    for name in (*(attribute.output for attribute in ATTRIBUTES), "pitch"):
        labels = columns.get(name, [None] * table.num_rows)
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, pa.array(labels, pa.string()))
    return table


def label_values(
    values: Sequence[float | None] | np.ndarray, edges: Sequence[float], labels: Sequence[str]
) -> list[str | None]:
    """The label of each value (N,): that of the bin (edge i, edge i + 1]; None for None and NaN."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    bins = np.clip(np.searchsorted(np.asarray(edges, dtype=np.float64), numbers, side="left") - 1, 0, len(labels) - 1)
    return [None if missing else labels[index] for missing, index in zip(np.isnan(numbers), bins, strict=True)]


def values_of(table: pa.Table, attribute: Attribute, era: str) -> np.ndarray:
    """The numbers (N,) that an attribute's labels are made from, NaN where there is none."""
    name = attribute.source(era)
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    values = np.array([np.nan if value is None else value for value in table[name].to_pylist()], dtype=np.float64)
    if name == "speaking_rate_b" and "speech_duration" in table.column_names:
        # Era b divides by 0.01 s where no speech was found: a number to keep, but no statement about the rate.
        values[np.array([seconds == 0 for seconds in table["speech_duration"].to_pylist()], dtype=bool)] = np.nan
    return values


def speaker_pitches(tags: Sequence[Path]) -> dict[str, float]:
    """Speaker to mean of `utterance_pitch_mean` in Hz, over all clips of that name in all tags."""
    found: dict[str, list[float]] = {}
    for folder in tags:
        for part in storage.iterate(folder, ["speaker", "utterance_pitch_mean"]):
            for speaker, pitch in zip(*(column.to_pylist() for column in part.columns), strict=True):
                if speaker is not None and pitch is not None and not np.isnan(pitch):
                    found.setdefault(speaker, []).append(pitch)
    return {speaker: float(np.mean(values)) for speaker, values in sorted(found.items())}


def _pitch_labels(table: pa.Table, facts: Mapping, pitches: Mapping[str, float] | None) -> list[str | None]:
    """Pitch labels by gender; None without a gender or a pitch."""
    rows = table.num_rows
    genders, speakers, own = (
        table[name].to_pylist() if name in table.column_names else [None] * rows
        for name in ("gender", "speaker", "utterance_pitch_mean")
    )
    means = own if pitches is None else [pitches.get(s, p) for s, p in zip(speakers, own, strict=True)]
    labels: list[str | None] = [None] * rows
    for gender, key in GENDERS.items():
        if key not in facts["edges"]:
            continue
        mine = [row for row in range(rows) if (genders[row] or "").lower() == gender]
        named = label_values([means[row] for row in mine], facts["edges"][key], facts["labels"]["pitch"])
        for row, label in zip(mine, named, strict=True):
            labels[row] = label
    return labels
