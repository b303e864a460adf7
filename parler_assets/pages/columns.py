"""What the columns of a stage mean, and rows as tables of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from parler_assets.intake.markdown import escaped

COLUMNS = {
    "id": "unique name of the clip",
    "audio": "bytes as published",
    "text": "what is said",
    "written": "the transcript as its source has it; `text` has numbers, dates and signs in words",
    "speaker": "name of the speaker, as used in descriptions",
    "style": "how it is said",
    "gender": "of the speaker; pitch is described relative to it",
    "duration": "seconds",
    "sampling_rate": "Hz, as published",
    "phonemes": "the transcript's phonemes",
    "speech_duration": "seconds of speech, silence left out",
    "speaking_rate_a": "phonemes per second of the clip (DataSpeech until May 2024)",
    "speaking_rate_b": "phonemes per second of speech (DataSpeech since)",
    "utterance_pitch_mean": "Hz",
    "utterance_pitch_std": "Hz: how lively the melody is",
    "snr_a": "signal to noise in dB (era a)",
    "snr_b": "signal to noise in dB (era b)",
    "c50_a": "clarity in dB: early to late reflections (era a)",
    "c50_b": "clarity in dB: early to late reflections (era b)",
    "stoi": "intelligibility, 0 to 1",
    "si_sdr": "signal to distortion in dB",
    "pesq": "perceived quality, 1 to 4.5",
    "note": "why a value is missing",
    "description": "the sentence that asks for this clip's voice",
    "engine": "what wrote the description",
    "attempts": "how often the engine was asked",
    "caption": "named, situational (without the speaker's name) or published",
    "named": "the description with the speaker's name",
    "situational": "the description without the speaker's name",
    "rejected": "why the engine's last answer was rejected and the template's sentence stands here",
    "pitch": "label: how high, relative to the gender",
    "speaking_rate": "label: how fast",
    "noise": "label: how noisy",
    "reverberation": "label: how far away it sounds",
    "speech_monotony": "label: how lively the melody is",
    "sdr_noise": "label: how clean, by distortion",
    "pesq_speech_quality": "label: how good it sounds",
    "codebooks": "rows of codes",
    "corpus": "lane the clip came from",
    "weight": "how often the clip counts in an epoch",
    "prompt_ids": "tokens of the transcript",
    "description_ids": "tokens of the description",
    "offset": "first frame in the file of codes",
    "system": "who speaks: real, copy, base or finetuned",
    "prompt": "what the systems share: the request, or the real clip",
    "rate": "label of the speaking rate asked for",
    "seed": "of the random numbers it was sampled with",
    "seconds_to_generate": "seconds of computing",
    "ended": "whether it ended by itself",
    "codes": "DAC codebook indices, codebooks x frames, row by row",
    "frames": "time steps of the codec",
}


def column_schema(table) -> dg.TableSchema:
    """Names, types and meanings of an Arrow table's columns."""
    return dg.TableSchema(
        columns=[dg.TableColumn(field.name, str(field.type), COLUMNS.get(field.name)) for field in table.schema]
    )


def rows_table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue | str:
    """Rows as an inline table of short strings."""
    if not rows:
        return "none"
    records = [dg.TableRecord({key: _short(value) for key, value in row.items()}) for row in rows]
    names = [dg.TableColumn(name, "string") for name in rows[0]]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=names))


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    if not rows:
        return ""
    lines = [[escaped(name) for name in rows[0]], ["---"] * len(rows[0])]
    lines += [[escaped(_short(value)) for value in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shares(folder: Path, columns: Sequence[str]) -> dg.MetadataValue:
    """How often each value of each column occurs, as Markdown tables."""
    from parler_assets import storage

    table = storage.read(folder, list(columns))
    blocks = []
    for name in columns:
        counts = Counter(table[name].to_pylist())
        rows = [
            {name: value if value is not None else "(none)", "clips": count, "share": f"{count / len(table):.1%}"}
            for value, count in counts.most_common()
        ]
        blocks.append(markdown_table(rows))
    return dg.MetadataValue.md("\n\n".join(blocks))


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return f"{len(value) / 1000:.1f} kB"
    text = str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
