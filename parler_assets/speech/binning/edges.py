"""Which edges and labels bins are made with: published, a user's own, or estimated from clips as DataSpeech does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.json_documents import json_value
from parler_assets.recipe import EDGE_SETS, Binning


class BinError(ValueError):
    """Edges and labels that cannot be used; the message names the file or key and the remedy."""


@dataclass(frozen=True)
class Attribute:
    """One labelled property: its column, DataSpeech's keys for edges and labels, and what is measured."""

    output: str
    edges: str
    labels: str
    measured: str
    by_era: bool = False

    def source(self, era: str) -> str:
        return f"{self.measured}_{era}" if self.by_era else self.measured


ATTRIBUTES = (
    Attribute("speaking_rate", "speaking_rate", "speaker_rate_bins", "speaking_rate", by_era=True),
    Attribute("noise", "noise", "snr_bins", "snr", by_era=True),
    Attribute("reverberation", "reverberation", "reverberation_bins", "c50", by_era=True),
    Attribute("speech_monotony", "speech_monotony", "utterance_level_std", "utterance_pitch_std"),
    Attribute("sdr_noise", "si-sdr", "sdr_bins", "si_sdr"),
    Attribute("pesq_speech_quality", "pesq", "pesq_bins", "pesq"),
)
GENDERS = {"male": "pitch_bins_male", "female": "pitch_bins_female"}
# Our label columns to DataSpeech's keys of label lists.
LABEL_KEYS = {attribute.output: attribute.labels for attribute in ATTRIBUTES} | {"pitch": "speaker_level_pitch_bins"}


def edges_and_labels(settings: Binning, era: str, pool: Sequence[Path]) -> dict:
    """{"edges": by DataSpeech's keys, "labels": by our label columns, "era"}; missing edges are estimated from `pool`.

    Raises:
        BinError: a file that cannot be used, edges that do not rise, or labels that are not one fewer than edges.
    """
    labels = {column: words for column, words in _labels(settings).items() if words}
    edges = _chosen_edges(settings)
    for key, values in _estimated(settings, era, pool, labels, missing=set(_keys()) - set(edges)).items():
        edges[key] = values
    for key, values in edges.items():
        _check(key, values, labels.get(_keys()[key]), settings)
    return {"edges": edges, "labels": labels, "era": era}


def write_edges(path: Path, facts: dict) -> None:
    """Save edges in DataSpeech's own format: usable there, and here as `binning.edges`."""
    storage.write_json(path, facts["edges"])


def bin_edges(values: np.ndarray, bins: int, tolerance: float | None, lowest: float | None) -> list[float] | None:
    """Edges (bins + 1,) of equal width as DataSpeech estimates them; None without values (N,), NaN left out.

    With a tolerance T only values nearer to the mean than T population standard deviations count. `lowest` replaces the
    lowest value unless it is None or 0.
    """
    kept = values[~np.isnan(values)]
    if tolerance is not None and kept.size and kept.std() > 0:
        kept = kept[np.abs(kept - kept.mean()) < tolerance * kept.std()]
    if not kept.size:
        return None
    span = (lowest or float(kept.min()), float(kept.max()))
    return [float(edge) for edge in np.histogram_bin_edges(kept, bins=bins, range=span if span[0] < span[1] else None)]


def _keys() -> dict[str, str]:
    """DataSpeech's edge keys to our label columns."""
    return {attribute.edges: attribute.output for attribute in ATTRIBUTES} | dict.fromkeys(GENDERS.values(), "pitch")


def _chosen_edges(settings: Binning) -> dict[str, list[float]]:
    if settings.edges == "estimated":
        return {}
    content = _shipped(f"edges_{settings.edges}") if settings.edges in EDGE_SETS else _own(settings.edges, "edges")
    unknown = sorted(set(content) - set(_keys()))
    if unknown:
        raise BinError(f"{settings.edges}: unknown edges {', '.join(unknown)}; known are {', '.join(_keys())}")
    return {key: [float(value) for value in values] for key, values in content.items()}


def _labels(settings: Binning) -> dict[str, list[str]]:
    """Label lists by our columns. A list that a user's own file lacks is that of v01."""
    name = settings.labels or ("v02" if settings.edges == "v02" else "v01")
    if name in ("v01", "v02"):
        return published_labels(name)
    own = _own(name, "labels")
    return {column: own.get(LABEL_KEYS[column], words) for column, words in published_labels("v01").items()}


@lru_cache(maxsize=4)
def published_labels(version: str) -> dict[str, list[str]]:
    """The label lists of `v01` or `v02` by our columns, each from the lowest value to the highest."""
    content = _shipped(f"labels_{version}")
    return {column: content[key] for column, key in LABEL_KEYS.items()}


def _shipped(name: str) -> dict:
    file = resources.files("parler_assets.speech.binning") / "data" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _own(path: str, what: str) -> dict:
    try:
        content = json_value(read_text(Path(path)), path)
    except (OSError, Refusal) as error:
        said = error.within if isinstance(error, Refusal) else error
        raise BinError(f"{path}: not readable as JSON: {said}") from None
    kind = str if what == "labels" else (int, float)
    lists = list(content.values()) if isinstance(content, dict) else [None]
    if not all(isinstance(values, list) and all(isinstance(v, kind) for v in values) for values in lists):
        raise BinError(f'{path}: {what} are a mapping from key to list, such as {{"noise": [...]}}')
    return content


def _check(key: str, edges: Sequence[float], labels: Sequence[str] | None, settings: Binning) -> None:
    if not np.all(np.diff(edges) > 0):
        raise BinError(f"{settings.edges}: edges of {key} do not rise: {edges}")
    if labels is None or len(labels) != len(edges) - 1:
        raise BinError(
            f"{key}: {len(edges)} edges make {len(edges) - 1} bins, but there are {len(labels or [])} labels; set "
            f"binning.labels to the ones that belong to binning.edges {settings.edges} (v02 edges have v02 labels)"
        )


def _estimated(
    settings: Binning, era: str, pool: Sequence[Path], labels: dict[str, list[str]], missing: set[str]
) -> dict[str, list[float]]:
    """Edges of the missing keys, those without any value left out."""
    leading = [folder for folder in pool if settings.leading is None or folder.parent.name in settings.leading]
    found = {}
    for attribute in ATTRIBUTES:
        if attribute.edges in missing:
            values = _values(leading, attribute.source(era))
            tolerance = getattr(settings.tolerances, attribute.output)
            lowest = getattr(settings.lowest, attribute.output, None)
            found[attribute.edges] = bin_edges(values, len(labels[attribute.output]), tolerance, lowest)
    for gender, key in GENDERS.items():
        if key in missing:
            means = _speaker_means(pool, gender)
            found[key] = bin_edges(means, len(labels["pitch"]), settings.tolerances.pitch, None)
    return {key: edges for key, edges in found.items() if edges}


def _values(pool: Sequence[Path], column: str) -> np.ndarray:
    parts = [part[column] for folder in pool for part in storage.iterate(folder, [column])]
    return np.array([np.nan if v is None else v for part in parts for v in part.to_pylist()], dtype=np.float64)


def _speaker_means(pool: Sequence[Path], gender: str) -> np.ndarray:
    """Mean pitch in Hz of each speaker (S,) of a gender, over all clips of that speaker in the pool."""
    columns = ["speaker", "gender", "utterance_pitch_mean"]
    tables = [part for folder in pool for part in storage.iterate(folder, columns)]
    rows = pa.concat_tables(tables).to_pylist() if tables else []
    found: dict[str, list[float]] = {}
    for row in rows:
        pitch = row["utterance_pitch_mean"]
        if (row["gender"] or "").lower() == gender and row["speaker"] is not None and pitch is not None:
            found.setdefault(row["speaker"], []).append(pitch)
    return np.array([np.nanmean(values) for values in found.values()], dtype=np.float64)
