"""Pictures of how measurements are distributed, speaker by speaker, with the edges of the bins they fall in."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from parler_assets import storage
from parler_assets.speech.binning.bins import values_of
from parler_assets.speech.binning.edges import ATTRIBUTES, GENDERS

UNITS = {
    "speaking_rate": "speaking rate, phoneme characters per second",
    "noise": "SNR, dB",
    "reverberation": "C50, dB",
    "speech_monotony": "standard deviation of pitch, Hz",
    "sdr_noise": "SI-SDR, dB",
    "pesq_speech_quality": "PESQ",
}
MOST_SPEAKERS = 8
OTHERS = "others"


def bin_plots(bins: Path) -> dict[str, bytes]:
    """A PNG for each attribute that has values and edges, by the name of its label column; pitch has one a gender."""
    facts = storage.read_manifest(bins).facts
    table = storage.read(bins)
    speakers = grouped(table["speaker"].to_pylist())
    pictures = {}
    for attribute in ATTRIBUTES:
        values = values_of(table, attribute, facts["era"])
        if attribute.edges in facts["edges"] and not np.isnan(values).all():
            edges, labels = facts["edges"][attribute.edges], facts["labels"][attribute.output]
            pictures[attribute.output] = histogram(values, speakers, edges, labels, UNITS[attribute.output])
    return pictures | _pitch_plots(table, speakers, facts)


def histogram(
    values: np.ndarray, groups: Sequence[str], edges: Sequence[float], labels: Sequence[str], axis: str
) -> bytes:
    """A PNG: values (N,) stacked by group, edges as lines, and over each bin its label with its share of the values."""
    known = ~np.isnan(values)
    values, groups = values[known], [group for group, kept in zip(groups, known, strict=True) if kept]
    names = sorted(set(groups), key=lambda name: (name == OTHERS, name))
    parts = [values[[group == name for group in groups]] for name in names]
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=80)
    chart = figure.add_subplot()
    low, high = min(values.min(), edges[0]), max(values.max(), edges[-1])
    chart.hist(parts, bins=np.linspace(low, high if high > low else low + 1, 50).tolist(), stacked=True, label=names)
    for edge in edges:
        chart.axvline(edge, color="0.3", linewidth=0.8, linestyle=":")
    _name_bins(chart, values, edges, labels)
    chart.set(xlabel=axis, ylabel="clips")
    chart.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        figure.legend(loc="outside right upper", frameon=False, fontsize="x-small")
    return png(figure)


def grouped(names: Sequence[str | None]) -> list[str]:
    """Each name, or `others` beyond the eight most frequent; rows without a name are others too."""
    frequent = {name for name, _ in Counter(filter(None, names)).most_common(MOST_SPEAKERS)}
    return [name if name in frequent else OTHERS for name in names]


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _name_bins(chart, values: np.ndarray, edges: Sequence[float], labels: Sequence[str]) -> None:
    bins = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(labels) - 1)
    shares = np.bincount(bins, minlength=len(labels)) / len(values)
    chart.margins(y=0.75)  # room for the longest label above the highest bar
    for index, (label, share) in enumerate(zip(labels, shares, strict=True)):
        middle = (edges[index] + edges[index + 1]) / 2
        text = f"{label} {share:.0%}"
        chart.annotate(
            text, (middle, 0.98), xycoords=("data", "axes fraction"), rotation=90, ha="center", va="top", fontsize=6.5
        )


def _pitch_plots(table: pa.Table, speakers: Sequence[str], facts: Mapping) -> dict[str, bytes]:
    pitch = np.array([np.nan if v is None else v for v in table["utterance_pitch_mean"].to_pylist()], dtype=float)
    genders = [(gender or "").lower() for gender in table["gender"].to_pylist()]
    pictures = {}
    for gender, key in GENDERS.items():
        mine = np.where([own == gender for own in genders], pitch, np.nan)
        if key in facts["edges"] and not np.isnan(mine).all():
            axis = f"pitch of {gender} clips, Hz"
            pictures[f"pitch_{gender}"] = histogram(mine, speakers, facts["edges"][key], facts["labels"]["pitch"], axis)
    return pictures
