"""Pictures of a page: data-URI images in Markdown, which the UI draws without a file server."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg


def histograms(folder: Path, columns: Mapping[str, str]) -> dg.MetadataValue:
    """Distributions of numeric columns (name to axis label) in one picture; empty columns are left out."""
    from parler_assets import storage

    table = storage.read(folder, list(columns))
    values = {label: [v for v in table[name].to_pylist() if v is not None] for name, label in columns.items()}
    kept = {label: numbers for label, numbers in values.items() if numbers}
    if not kept:
        return dg.MetadataValue.md("no values")

    def draw(figure) -> None:
        width = min(3, len(kept))
        for index, (label, numbers) in enumerate(kept.items()):
            axis = figure.add_subplot(-(-len(kept) // width), width, index + 1)
            axis.hist(numbers, bins=30, color="#4f6bd8")
            axis.set_xlabel(label)
            axis.spines[["top", "right"]].set_visible(False)

    return picture(draw, height=2.2 * -(-len(kept) // 3), alt=", ".join(kept))


def bin_pictures(folder: Path) -> dg.MetadataValue:
    """The distribution of every labelled measurement with the edges of its bins, one picture each."""
    from parler_assets.speech.plots import bin_plots

    drawn = bin_plots(folder)
    pictures = [f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})" for name, png in drawn.items()]
    return dg.MetadataValue.md("\n\n".join(pictures) or "no values")


def curves(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> dg.MetadataValue:
    """Lines (name to points) in one picture: a loss curve."""

    def draw(figure) -> None:
        axis = figure.add_subplot()
        for name, points in series.items():
            axis.plot(*zip(*points, strict=True), label=name, marker="o" if len(points) < 30 else None, markersize=3)
        axis.set(xlabel=x, ylabel=y)
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)

    return picture(draw, height=3.2, alt=f"{y} over {x}")


def picture(draw, height: float, alt: str) -> dg.MetadataValue:
    """A figure drawn by `draw(figure)` as Markdown with the PNG inside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained", dpi=72)
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{encoded})")
