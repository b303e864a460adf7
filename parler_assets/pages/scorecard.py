"""What the scorecard's page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.pages.charts import picture

if TYPE_CHECKING:
    from parler_assets.tts.report.report import ReportPaths
    from parler_assets.tts.scoring.stage import Scores


def scorecard_metadata(scores: Scores, report: ReportPaths) -> dict[str, Any]:
    """Where to listen, the table, the plot, and every value as a number that Dagster draws over time."""
    return {
        "listen": notebook_link(report.notebook),
        "scores": dg.MetadataValue.md(scores.markdown),
        "picture": intervals(scores.card["scores"]),
        "reused": scores.reused,
        "seconds": round(scores.seconds, 2),
        **{name: value for name, value in scores.numbers.items() if not name.endswith(("_low", "_high"))},
    }


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
