"""Tags and bins under DataSpeech's own column names and dtypes, so that a table of ours can stand in for one of theirs.

Tags: every source column but audio, then pitch (float32), snr, c50, speaking_rate (float64), phonemes and, when
measured, stoi, si-sdr, pesq. Bins: the same with speaking_rate as its label, and the other label columns.
Descriptions join as `text_description`. One era is exported: the columns have no place for two.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets import storage
from parler_assets.recipe.spellings import DEFAULT
from parler_assets.storage import replacing

SOURCE = {"text": "text", "speaker": "speaker_id", "style": "style", "id": "id", "gender": "gender"}
TAGS = {
    "utterance_pitch_mean": ("utterance_pitch_mean", pa.float32()),
    "utterance_pitch_std": ("utterance_pitch_std", pa.float32()),
    "snr": ("snr", pa.float64()),
    "c50": ("c50", pa.float64()),
    "speaking_rate": ("speaking_rate", pa.float64()),
    "phonemes": ("phonemes", pa.string()),
    "stoi": ("stoi", pa.float64()),
    "si_sdr": ("si-sdr", pa.float64()),
    "pesq": ("pesq", pa.float64()),
}
BY_ERA = ("snr", "c50", "speaking_rate")
LABELS = ("pitch", "noise", "reverberation", "speech_monotony", "sdr_noise", "pesq_speech_quality")
OPTIONAL = ("style", "gender", "stoi", "si_sdr", "pesq", "pitch", "sdr_noise", "pesq_speech_quality")


def dataspeech_table(table: pa.Table, era: str, labels: bool = False) -> pa.Table:
    """A table of tags, or of bins with `labels`, in DataSpeech's layout; empty optional columns are left out."""
    columns = {theirs: table[ours].cast(pa.string()) for ours, theirs in SOURCE.items() if _present(table, ours)}
    for ours, (theirs, kind) in TAGS.items():
        if ours == "speaking_rate" and labels:
            columns[theirs] = table["speaking_rate"].cast(pa.string())
        elif _present(table, ours if ours not in BY_ERA else f"{ours}_{era}"):
            columns[theirs] = table[f"{ours}_{era}" if ours in BY_ERA else ours].cast(kind)
    if labels:
        columns |= {name: table[name].cast(pa.string()) for name in LABELS if _present(table, name)}
    return pa.table(columns)


def export(stage: Path, target: Path, era: str, labels: bool = False, descriptions: Path | None = None) -> Path:
    """Write a finished stage of tags or bins as one Parquet file in DataSpeech's layout, in the same row order.

    Args:
        descriptions: a finished stage of descriptions; joined by id as `text_description`.
    """
    table = dataspeech_table(storage.read(stage), era, labels)
    if descriptions is not None:
        written = storage.read(descriptions, ["id", "description"]).to_pylist()
        by_id = {row["id"]: row["description"] for row in written}
        texts = [by_id.get(name) for name in table["id"].to_pylist()]
        table = table.append_column("text_description", pa.array(texts, pa.string()))
    with replacing(target) as temporary:
        pq.write_table(table, temporary)
    return target


def _present(table: pa.Table, name: str) -> bool:
    """Whether a column is there; an optional one must also hold something, a style more than none."""
    if name in OPTIONAL and name in table.column_names:
        return bool(set(table[name].unique().to_pylist()) - {None, DEFAULT})
    return name in table.column_names
