"""A small finished stage of evaluation samples, with sounds whose pitch and length are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.speech.audio import encode
from parler_assets.storage import Part, StageResult
from parler_assets.tts.synthesis.samples import SCHEMA

PITCHES = {"Jerry": 110.0, "Talia": 200.0}
RATES = ("quite slowly", "moderate speed", "quite fast")


def buzz(pitch: float, seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Harmonics under a syllable-like swell, with a falling melody; (N,) float32."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1.1 - 0.2 * time / seconds)) / rate
    sound = sum(0.75**k * np.sin(k * phase) for k in range(1, 15))
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)
    noise = np.random.default_rng(seed).normal(0, 0.004, len(time))
    return (0.15 * sound * swell + noise).astype(np.float32)


def sample_rows(styles: tuple[str, ...] = ("happy", "sad")) -> list[dict]:
    rows = []
    for place, (speaker, style) in enumerate((s, t) for s in PITCHES for t in styles):
        for step, rate in enumerate(RATES):
            for system in ("base", "finetuned"):
                sound = buzz(PITCHES[speaker], 1.6 - 0.3 * step, seed=place)
                rows.append(_row(system, f"{speaker}-{style}-{rate}", speaker, style, rate, sound))
        for system in ("real", "copy"):
            rows.append(_row(system, f"studio/{place}", speaker, style, None, buzz(PITCHES[speaker], 1.5, seed=place)))
    return rows


def _row(system: str, prompt: str, speaker: str, style: str, rate: str | None, sound: np.ndarray) -> dict:
    return {
        "id": f"{system}/{prompt}",
        "system": system,
        "prompt": prompt,
        "speaker": speaker,
        "style": style,
        "rate": rate,
        "kind": "grid" if rate else "clip",
        "attribute": None,
        "label": None,
        "text": "Open the <door> & wait.",
        "description": f"{speaker} speaks in a {style} voice.",
        "seed": 1,
        "key": None,
        "audio": encode(sound, 16000),
        "duration": len(sound) / 16000,
        "seconds_to_generate": 0.2 if rate else None,
        "ended": True if rate else None,
    }


def write_samples(folder: Path, rows: list[dict]) -> StageResult:
    facts = {
        "speakers": list(dict.fromkeys(row["speaker"] for row in rows)),
        "styles": list(dict.fromkeys(row["style"] for row in rows)),
        "rates": list(RATES),
    }
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return storage.build(folder, "samples", 1, lambda _: Part(table), facts=lambda: facts)
