"""A scorecard in a few lines: what got better, what got worse, what cannot be judged. The table has the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from parler_assets.tts.scoring.metrics import COLUMNS, HEADLINES, NAMES, SCORE_OF, name_of, verdict
from parler_assets.tts.scoring.table import at_chance, missing_of

ROWS, MOST = 6, 3  # headlines; names that a line lists before it counts the rest
REASON = 60  # characters of why something was not judged
WIDTH = 24  # of a line's first column


def verdict_lines(card: dict) -> list[str]:
    """At most five lines, each of one kind. Of better and worse there is always one; others only where it has names."""
    changed: dict[str, list[str]] = {"better": [], "worse": [], "": []}
    for difference in card["differences"]:
        kind = verdict(difference["metric"], difference["low"], difference["high"])
        changed[kind].append(_change(card, difference))
    kinds = {
        "Better than its base": changed["better"] or ["nothing for certain"],
        "Worse than its base": changed["worse"] or ["nothing for certain"],
        "No clear change": changed[""],
        "No better than chance": [f"{NAMES[name]} {score['value']:.2f}" for name, score, _ in at_chance(card)],
        "Not judged": [f"{_listed(map(name_of, names), 1)} ({_short(why)})" for why, names in missing_of(card).items()],
    }
    return [f"{title + ':':<{WIDTH}}{_listed(found)}" for title, found in kinds.items() if found]


def headlines(card: dict) -> list[dict]:
    """The scores to read first: `metric`, `name`, and each system's score, None where it has none."""
    found = {(score["metric"], score["system"]): score for score in card["scores"]}
    scored = [metric for metric in HEADLINES if (metric, "finetuned") in found][:ROWS]
    return [
        {"metric": metric, "name": NAMES[metric], **{system: found.get((metric, system)) for system in COLUMNS}}
        for metric in scored
    ]


def _change(card: dict, difference: Mapping) -> str:
    """`style (probe) 0.43 to 0.50`; the difference alone where the systems have no score of their own."""
    metric = SCORE_OF.get(difference["metric"], difference["metric"])
    values = {score["system"]: score["value"] for score in card["scores"] if score["metric"] == metric}
    if {"base", "finetuned"} <= values.keys():
        return f"{name_of(metric)} {values['base']:.2f} to {values['finetuned']:.2f}"
    return f"{name_of(difference['metric'])} {difference['value']:+.2f}"


def _listed(found: Iterable[str], most: int = MOST) -> str:
    names: Sequence[str] = list(found)
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def _short(reason: str) -> str:
    return reason if len(reason) <= REASON else f"{reason[: REASON - 3]}..."
