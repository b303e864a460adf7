"""What an asset's page shows: rows, hours, schema, first rows, plots, and the rows that were set aside with reasons.

Everything is read from the written shards, so a reused result shows as much as a fresh one. Plots are data-URI images
in Markdown: the UI draws them without a file server. Dagster refuses numpy scalars, so values are plain Python here.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from parler_assets.storage import StageResult

COLUMNS = {
    "id": "unique name of the clip",
    "audio": "bytes as published",
    "text": "what is said",
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
    "stopped": "whether it ended by itself",
    "codes": "DAC codebook indices, codebooks x frames, row by row",
    "frames": "time steps of the codec",
}


def stage_metadata(result: StageResult, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """The part every stage shows. `columns` are those of the first rows; None takes all but audio and codes."""
    from parler_assets import storage

    manifest = result.manifest
    metadata: dict[str, Any] = {
        "dagster/row_count": manifest.rows,
        "set_aside": len(manifest.set_aside),
        "reused": result.reused,
        "seconds": round(result.seconds, 2),
        "folder": dg.MetadataValue.path(str(result.folder)),
    }
    if manifest.set_aside:
        metadata |= _set_aside(manifest.set_aside)
    if manifest.shards:
        first = storage.read_shard(result.folder, manifest.shards[0])
        metadata["dagster/column_schema"] = _schema(first)
        shown = columns or [name for name in first.column_names if name not in ("audio", "codes")]
        metadata["first_rows"] = rows_table(first.select(shown).slice(0, 5).to_pylist())
    return metadata


def hours(folder: Path) -> float:
    """Hours of speech in a stage with a `duration` column."""
    from parler_assets import storage

    return round(sum(sum(part["duration"].to_pylist()) for part in storage.iterate(folder, ["duration"])) / 3600, 4)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue | str:
    """Rows as an inline table of short strings."""
    if not rows:
        return "none"
    records = [dg.TableRecord({key: _short(value) for key, value in row.items()}) for row in rows]
    names = [dg.TableColumn(name, "string") for name in rows[0]]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=names))


def escaped(cell: Any) -> str:
    """A cell's text as Markdown shows it: a name from somebody's data is no image, link or markup.

    An image's address would be fetched when the page is opened.
    """
    text = str(cell)
    if set(text) == {"-"}:
        return text
    shown = re.sub(r"([\\`*_{}\[\]()#+!~<>&])", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
    return re.sub(r"(?i)(https?|ftp|www|mailto)(?=[:.])", r"\1&#8203;", shown.replace("|", "/"))


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[_short(value) for value in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines)


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


def intervals(scores: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """Shares between 0 and 1 with their 95 % intervals: one row a metric, one colour a system."""
    colours = {"real": "#8a8f98", "copy": "#c3c7cd", "chance": "#e2b04a", "base": "#7fa3e0", "finetuned": "#2747b8"}
    shown = [s for s in scores if s["system"] in colours and s["low"] >= 0 and s["high"] <= 1]
    metrics = list(dict.fromkeys(score["metric"] for score in shown))

    def draw(figure) -> None:
        axis = figure.add_subplot()
        for place, (system, colour) in enumerate(colours.items()):
            own = [score for score in shown if score["system"] == system]
            rows = [metrics.index(score["metric"]) + (place - 2) * 0.15 for score in own]
            axis.hlines(rows, [s["low"] for s in own], [s["high"] for s in own], color=colour)
            axis.scatter([s["value"] for s in own], rows, color=colour, s=16, label=system)
        axis.set(yticks=range(len(metrics)), yticklabels=[m.replace("_", " ") for m in metrics], xlim=(-0.02, 1.02))
        axis.invert_yaxis()
        figure.legend(loc="outside right upper", frameon=False)
        axis.spines[["top", "right"]].set_visible(False)

    return picture(draw, height=1.2 + 0.5 * len(metrics), alt="scores with 95 % intervals")


def picture(draw, height: float, alt: str) -> dg.MetadataValue:
    """A figure drawn by `draw(figure)` as Markdown with the PNG inside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained", dpi=72)
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{encoded})")


def notebook_link(path: Path) -> dg.MetadataValue:
    """A page that the Dagster web server itself shows, sound included; it serves only what lies below its folder."""
    from urllib.parse import quote

    from parler_assets.resources.workspace import project_folder

    try:
        inside = path.resolve().relative_to(project_folder().resolve())
    except ValueError:
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.url(f"/notebook?repoLocName=parler_assets&path={quote(str(inside), safe='')}")


def _set_aside(rows: Sequence) -> dict[str, Any]:
    kinds = Counter(row.reason.split(":")[0] for row in rows)
    summary = [{"reason": reason, "clips": count} for reason, count in kinds.most_common()]
    listed = [{"id": row.id, "stage": row.stage, "reason": row.reason} for row in rows[:20]]
    return {"set_aside_reasons": rows_table(summary), "set_aside_rows": rows_table(listed)}


def _schema(table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[dg.TableColumn(field.name, str(field.type), COLUMNS.get(field.name)) for field in table.schema]
    )


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return f"{len(value) / 1000:.1f} kB"
    text = str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
