"""Small finished text bins for tests of descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pyarrow as pa

from parler_assets import storage
from parler_assets.storage import Part

SPEAKERS = {"Jerry": "male", "Elisabeth": "female", "Thomas": "male", "Talia": "female"}
STYLES = ("enunciated", "happy", "confused", "default", "laughing", "sad", "whisper", "emphasis")
LABELS = Path(__file__).parents[2] / "parler_assets" / "speech" / "binning" / "data"
COLUMNS = {
    "speaking_rate": "speaker_rate_bins",
    "noise": "snr_bins",
    "reverberation": "reverberation_bins",
    "speech_monotony": "utterance_level_std",
    "pitch": "speaker_level_pitch_bins",
    "sdr_noise": "sdr_bins",
}
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "speaker", "gender", "style", *COLUMNS)])


def labels(version: str = "v01") -> dict[str, list[str]]:
    """The published labels, by our column names."""
    content = json.loads((LABELS / f"labels_{version}.json").read_text())
    return {ours: content[theirs] for ours, theirs in COLUMNS.items()}


def rows(count: int, version: str = "v01") -> list[dict]:
    """Clips over all speakers, styles and labels in turn."""
    known = labels(version)
    cells = list(product(SPEAKERS, STYLES))
    return [_row(number, cells[number % len(cells)], known) for number in range(count)]


def _row(number: int, cell: tuple[str, str], known: dict[str, list[str]]) -> dict:
    speaker, style = cell
    said = {name: words[(number // 3 + place) % len(words)] for place, (name, words) in enumerate(known.items())}
    return {
        "id": f"{speaker}_{style}_{number:06d}",
        "speaker": speaker,
        "gender": SPEAKERS[speaker],
        "style": style,
        **said,
    }


def write_bins(folder: Path, clips: Sequence[dict], size: int = 64) -> Path:
    parts = list(_parts(clips, size))
    storage.build(folder, f"bins{len(clips)}", len(parts), lambda index: Part(parts[index]))
    return folder


def _parts(clips: Sequence[dict], size: int) -> Iterator[pa.Table]:
    for start in range(0, len(clips), size):
        yield pa.Table.from_pylist(list(clips[start : start + size]), schema=SCHEMA)
