"""Small finished lanes and a fake tokenizer, for tests of the training set and of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.storage import Part
from parler_assets.tts.data import Lane

SPEAKERS = ("Jerry", "Talia")
STYLES = ("default", "happy", "sad")
TEXTS = ("one two three", "the cat sat", "open the door", "rain fell all day", "stop here", "where is it now")


def clip_rows(count: int, frames: int = 8, seed: int = 0) -> list[dict]:
    """Clips of a made-up corpus: every speaker says every text, styles in turn."""
    generator = np.random.default_rng(seed)
    return [
        {
            "id": f"clip-{index:03d}",
            "text": TEXTS[index // len(SPEAKERS) % len(TEXTS)],
            "speaker": SPEAKERS[index % len(SPEAKERS)],
            "style": STYLES[index % len(STYLES)],
            "duration": 1.0 + index % 5 / 10,
            "description": f"{SPEAKERS[index % len(SPEAKERS)]} speaks in a {STYLES[index % len(STYLES)]} voice",
            "frames": int(generator.integers(frames // 2, frames + 1)),
        }
        for index in range(count)
    ]


def write_lane(
    folder: Path,
    rows: list[dict],
    name: str = "studio",
    codebooks: int = 9,
    codebook_size: int = 32,
    codes: dict[str, np.ndarray] | None = None,
    **options,
) -> Lane:
    """Write the three stages of a lane that a training set reads. Descriptions and codes lie in reverse order."""
    generator = np.random.default_rng(1)
    coded = {row["id"]: generator.integers(0, codebook_size, (codebooks, row["frames"]), np.uint16) for row in rows}
    coded |= codes or {}
    raw = pa.Table.from_pylist(
        [{**{key: row[key] for key in ("id", "text", "speaker", "style", "duration")}, "audio": b""} for row in rows]
    )
    turned = rows[::-1]
    described = pa.Table.from_pylist(
        [{"id": row["id"], "description": row["description"]} for row in turned],
        schema=pa.schema([("id", pa.string()), ("description", pa.string())]),
    )
    matrices = [coded[row["id"]] for row in turned]
    codes_table = pa.table(
        {
            "id": [row["id"] for row in turned],
            "codes": pa.array([matrix.ravel() for matrix in matrices], pa.list_(pa.uint16())),
            "frames": pa.array([matrix.shape[1] for matrix in matrices], pa.int32()),
            "codebooks": pa.array([len(matrix) for matrix in matrices], pa.int32()),
        }
    )
    places = {"raw": raw, "descriptions": described, "codes": codes_table}
    for stage, table in places.items():
        half = table.num_rows // 2
        pieces = [table.slice(0, half), table.slice(half)]
        storage.build(folder / name / stage, f"{name}-{stage}", 2, lambda i, p=pieces: Part(p[i]), rebuild=True)
    return Lane(name, *(folder / name / stage for stage in places), **options)
