"""The listening report: one HTML file that needs nothing else, and the same page as a notebook for the Dagster UI."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from parler_assets import storage
from parler_assets.tts.report.cells import SPECIAL, Cell, cells
from parler_assets.tts.report.findings import cannot_show, failures, score_rows
from parler_assets.tts.scoring.metrics import name_of
from parler_assets.tts.scoring.table import CARD, FILE, LINES, markdown, missing_of, sample_lines

__all__ = ["ReportPaths", "write_report"]
LEAD = (
    "The fine-tuned checkpoint beside its base, both speaking held-out sentences, beside held-out recordings and what "
    "the codec makes of them."
)


@dataclass(frozen=True)
class ReportPaths:
    """`html` opens in any browser; `notebook` plays inside the Dagster UI under `/notebook?...`."""

    html: Path
    notebook: Path


def write_report(samples: Path, folder: Path, title: str = "Listening report", lead: str = LEAD) -> ReportPaths:
    """Write `report.html` and `report.ipynb` into `folder`, with the scores that lie there when they do.

    `lead` says what is beside what.

    Raises:
        ShardError: the samples are unfinished.
        RecordError: what lies beside the scorecard is damaged.
    """
    card = CARD.find(folder / FILE, "materialize the scorecard again")
    by_key = {row["id"]: row for row in sample_lines(folder)} if (folder / LINES).is_file() else {}
    facts, aside = storage.read_manifest(samples).facts, storage.read_manifest(samples).set_aside
    made = cells(samples, by_key)
    fragment = _fragment(title, lead, made, card, facts, [vars(row) for row in aside])
    paths = ReportPaths(folder / "report.html", folder / "report.ipynb")
    _write(paths.html, _template("page.html.j2").render(title=title, fragment=fragment))
    _write(paths.notebook, json.dumps(notebook(fragment)))
    return paths


def notebook(fragment: str) -> dict:
    """A notebook of one cell whose output is the page: Dagster's web server shows it, no Jupyter is needed."""
    output = {"output_type": "display_data", "data": {"text/html": [fragment]}, "metadata": {}}
    cell = {
        "cell_type": "code",
        "id": "report",
        "execution_count": 1,
        "metadata": {},
        "source": [],
        "outputs": [output],
    }
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell]}


def _fragment(title: str, lead: str, made: list[Cell], card: dict | None, facts: dict, aside: list[dict]) -> str:
    rated = list(dict.fromkeys(take.rate for cell in made for take in cell.takes if take.rate))
    return _template("report.html.j2").render(
        title=title,
        lead=lead,
        cells=made,
        speakers=list(dict.fromkeys(cell.speaker for cell in made)),
        styles=list(dict.fromkeys(cell.style for cell in made if cell.kind == "grid")),
        special=SPECIAL,
        rates=rated,
        scores=score_rows(card) if card else [],
        card_text=markdown(card) if card else "",
        confusion=(card or {}).get("confusion", {}),
        missing=_named(missing_of(card)) if card else {},
        overview={(cell.speaker, cell.style): cell for cell in made if cell.kind == "grid"},
        kinds=list(dict.fromkeys(cell.kind for cell in made)),
        failures=failures(card, made, aside),
        limits=cannot_show(card),
        facts=facts,
        samples=sum(len(take.players) for cell in made for take in cell.takes),
        css=_source("report.css"),
        js=_source("report.js"),
    )


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_source(name))


def _source(name: str) -> str:
    return (resources.files("parler_assets.tts.report") / "page" / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    with storage.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _named(missing: dict[str, list[str]]) -> dict[str, list[str]]:
    """Scores that are missing by the names of the table, as a reader knows them."""
    return {reason: [name_of(metric) for metric in metrics] for reason, metrics in missing.items()}
