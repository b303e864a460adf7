"""What the scorecard's page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.pages.charts import picture
from parler_assets.pages.columns import markdown_table

if TYPE_CHECKING:
    from parler_assets.tts.report.report import ReportPaths
    from parler_assets.tts.scoring.stage import Scores


def scorecard_metadata(scores: Scores, report: ReportPaths) -> dict[str, Any]:
    """Where to listen, the headlines, the plot, all scores, and the checkpoint's own values to draw over time."""
    return {
        "listen": notebook_link(report.notebook),
        "headlines": dg.MetadataValue.md(headline_table(scores.card)),
        "picture": intervals(scores.card["scores"]),
        "scores": dg.MetadataValue.md(scores.markdown),
        "reused": scores.reused,
        "seconds": round(scores.seconds, 2),
        **scores.own,
    }


def headline_table(card: Mapping[str, Any]) -> str:
    """The scores to read first, beside those of the other systems, as a Markdown table."""
    from parler_assets.tts.report.verdict import headlines
    from parler_assets.tts.scoring.metrics import COLUMNS, SYSTEMS

    def cell(score: Mapping[str, Any] | None) -> str:
        return "" if score is None else f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"

    rows = [
        {"": row["name"], **{SYSTEMS.get(system, system): cell(row[system]) for system in COLUMNS}}
        for row in headlines(dict(card))
    ]
    return markdown_table(rows)


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


def notebook_link(path: Path) -> dg.MetadataValue:
    """A page that the Dagster web server itself shows, sound included; it serves only what lies below its folder."""
    from urllib.parse import quote

    from parler_assets.resources.workspace import project_folder

    try:
        inside = path.resolve().relative_to(project_folder().resolve())
    except ValueError:
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.url(f"/notebook?repoLocName=parler_assets&path={quote(str(inside), safe='')}")
