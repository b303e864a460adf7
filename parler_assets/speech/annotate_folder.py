"""Annotate a folder of recordings without a recipe: tags, bins, plots and a report.

The folder may hold a table of texts (`metadata.csv`, `.tsv`, `.jsonl`, or LJSpeech's), or sound files alone: then
everything but the speaking rate is measured. A second call resumes where the first one stopped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from parler_assets import storage
from parler_assets.hub import weights
from parler_assets.intake.markdown import escaped
from parler_assets.recipe import Annotation, Binning, Corpus, FolderSource, Shards
from parler_assets.speech import audits
from parler_assets.speech.annotation.stage import tag_corpus
from parler_assets.speech.binning.bins import bin_corpus
from parler_assets.speech.binning.edges import write_edges
from parler_assets.speech.clips import store_clips
from parler_assets.speech.dataspeech_export import export
from parler_assets.speech.plots import bin_plots
from parler_assets.speech.sources.folder import has_texts, open_folder, sound_files
from parler_assets.storage import SetAside, StageResult

MEASURED = ("speaking_rate", "utterance_pitch_mean", "utterance_pitch_std", "snr", "c50", "stoi", "si_sdr", "pesq")
ONLY_WITH_QUALITY = ("sdr_noise", "pesq_speech_quality")
BY_ERA = ("speaking_rate", "snr", "c50")


@dataclass(frozen=True)
class Annotated:
    """What `annotate_folder` wrote."""

    folder: Path
    tags: Path
    bins: Path
    edges: Path
    report: Path
    clips: int
    set_aside: tuple[SetAside, ...]


def annotate_folder(
    folder: Path,
    output: Path,
    annotation: Annotation | None = None,
    binning: Binning | None = None,
    device: str = "cpu",
    rebuild: bool = False,
) -> Annotated:
    """Measure and label every recording in `folder`; write tags.parquet, bins.parquet, edges.json, plots and report.md.

    Raises:
        AnnotatorError: an annotator's package or weights are missing.
        SourceError: no recordings, or a table that cannot be read.
        BinError: edges and labels that cannot be used.
    """
    annotation, binning = annotation or Annotation(), binning or Binning(edges="estimated")
    stages = output / "stages"
    weights.digests(annotation, tagged=stages / "continuous_tags")  # before a long reading: are they here at all?
    raw = _store(folder, stages / "raw_dataset", annotation.language, rebuild)
    tags = tag_corpus(raw.folder, stages / "continuous_tags", annotation, device, rebuild)
    bins = bin_corpus(tags.folder, stages / "text_bins", binning, annotation, rebuild=rebuild)
    files = {
        "tags": export(tags.folder, output / "tags.parquet", annotation.era),
        "bins": export(bins.folder, output / "bins.parquet", annotation.era, labels=True),
    }
    write_edges(output / "edges.json", bins.manifest.facts)
    plots = _save_plots(bins.folder, output / "plots")
    aside = (*raw.manifest.set_aside, *tags.manifest.set_aside)
    report = output / "report.md"
    text = report_text(folder.resolve().name, tags, bins, aside, plots, own_edges=binning.edges == "estimated")
    report.write_text(text, encoding="utf-8")
    return Annotated(output, files["tags"], files["bins"], output / "edges.json", report, tags.manifest.rows, aside)


def _store(folder: Path, target: Path, language: str, rebuild: bool) -> StageResult:
    source = FolderSource(kind="folder", path=folder)
    texts = has_texts(folder)
    opened = open_folder(source) if texts else sound_files(folder)
    corpus = Corpus(source=source, language=language)
    return store_clips(opened, corpus, target, Shards(), texts=texts, rebuild=rebuild)


def _save_plots(bins: Path, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in bin_plots(bins).items():
        (folder / f"{name}.png").write_bytes(picture)
    return sorted(folder.glob("*.png"))


# -------------------------------------------------------------------------------------------------------------- report


def report_text(
    name: str,
    tags: StageResult,
    bins: StageResult,
    aside: tuple[SetAside, ...],
    plots: list[Path],
    own_edges: bool = False,
) -> str:
    """Markdown: how much was measured, what each measurement looks like, what stands out, and what was kept out."""
    table, facts = storage.read(bins.folder), bins.manifest.facts
    hours = sum(table["duration"].to_pylist()) / 3600
    lines = [
        f"# Annotation of {escaped(name)}",
        "",
        f"{table.num_rows} clips, {hours:.2f} hours, {len(aside)} set aside.",
        "",
    ]
    lines += ["| measurement | clips with a value | lowest | mean | highest |", "|---|---|---|---|---|"]
    measured = [column for column in tags_measured(facts["era"]) if table[column].null_count < table.num_rows]
    lines += [_measurement(table, column) for column in measured]
    lines += ["", "## Labels", ""]
    for column in facts["labels"]:
        counts = Counter(table[column].to_pylist())
        if column in ONLY_WITH_QUALITY and not any(counts[label] for label in facts["labels"][column]):
            continue
        found = [f"{label} {counts[label]}" for label in facts["labels"][column] if counts[label]]
        lines.append(f"- {column}: {escaped(', '.join(found)) or 'no values'}")
    problems = audits.plausible(tags.folder) + audits.varied(tags.folder, measured)
    problems += [] if own_edges else audits.drift(bins.folder)  # edges made from these very clips cannot have drifted
    lines += ["", "## What stands out", "", *(f"- {escaped(text)}" for text in problems or ["nothing"])]
    lines += ["", "## Values that are missing", "", *_missing(table)]
    lines += [
        "",
        "## Set aside",
        "",
        *(f"- {escaped(row.id)}: {escaped(row.reason)}" for row in aside),
        *([] if aside else ["nothing"]),
    ]
    return "\n".join([*lines, "", "## Plots", "", *(f"![{p.stem}](plots/{p.name})" for p in plots), ""])


def tags_measured(era: str) -> list[str]:
    """The numeric columns that an era's bins and report are made from."""
    return [f"{name}_{era}" if name in BY_ERA else name for name in MEASURED]


def _measurement(table: pa.Table, column: str) -> str:
    values = [value for value in table[column].to_pylist() if value is not None]
    mean = sum(values) / len(values)
    return f"| {column} | {len(values)} | {min(values):.4g} | {mean:.4g} | {max(values):.4g} |"


def _missing(table: pa.Table) -> list[str]:
    """Why values are missing, how often and where."""
    where: dict[str, list[str]] = defaultdict(list)
    for row in table.select(["id", "note", "pitch", "utterance_pitch_mean"]).to_pylist():
        reasons = (row["note"] or "").split("; ")
        if row["pitch"] is None and row["utterance_pitch_mean"] is not None:
            reasons.append("pitch label: the clip's gender is not stated as male or female")
        for reason in filter(None, reasons):
            where[reason].append(row["id"])
    often = sorted(where.items(), key=lambda item: -len(item[1]))
    return [
        f"- {escaped(reason)}: {len(ids)} clip{'s' * (len(ids) > 1)}, such as {escaped(', '.join(ids[:3]))}"
        for reason, ids in often
    ] or ["none"]
