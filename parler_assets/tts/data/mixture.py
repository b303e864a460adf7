"""What a training set is made of: rows, hours, speakers and styles of each corpus, and whose licences it carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from parler_assets.intake.markdown import escaped
from parler_assets.storage import SetAside
from parler_assets.tts.data.lanes import JoinedLane, Names, kind_of


def mixture_report(
    lanes: Sequence[JoinedLane], train: np.ndarray, held_out: np.ndarray, later: list[SetAside]
) -> list[dict]:
    """One record for each corpus; `share` is its part of the training hours as weighted in an epoch.

    `later` are rows that were set aside after the lanes were joined.
    """
    records = [
        _record(
            joined,
            train[train["lane"] == number],
            held_out[held_out["lane"] == number],
            [row for row in later if row.id.startswith(f"{joined.lane.name}/")],
        )
        for number, joined in enumerate(lanes)
    ]
    weighted = sum(record["train_hours"] * record["weight"] for record in records)
    for record in records:
        record["share"] = round(record["train_hours"] * record["weight"] / weighted, 4) if weighted else 0.0
    return records


def _record(joined: JoinedLane, train: np.ndarray, held_out: np.ndarray, later: list[SetAside]) -> dict:
    reasons = Counter(kind_of(row) for row in [*joined.set_aside, *later])
    return {
        "corpus": joined.lane.name,
        "clips": joined.clips,
        "described": joined.described,
        "coded": joined.coded,
        "train_rows": len(train),
        "held_out_rows": len(held_out),
        "train_hours": _hours(train),
        "held_out_hours": _hours(held_out),
        "speakers": _named(joined.speakers, train["speaker"]),
        "styles": _named(joined.styles, train["style"]),
        "weight": joined.lane.weight,
        "licence": joined.lane.licence,
        "set_aside": dict(sorted(reasons.items())),
    }


def _hours(rows: np.ndarray) -> float:
    return round(float(rows["duration"].sum()) / 3600, 5)


def _named(names: Names, numbers: np.ndarray) -> list[str]:
    """The names that occur, sorted; an empty one is none."""
    there = set(np.unique(numbers).tolist())
    return sorted(name for name, number in names.items() if name and number in there)


def licences(mixture: list[dict]) -> dict[str, str]:
    """Corpus to licence; a corpus without one says so, because its terms then bind unread."""
    return {record["corpus"]: record["licence"] or "unknown" for record in mixture if record["train_rows"]}


def mixture_markdown(mixture: list[dict]) -> str:
    """The mixture as a Markdown table."""
    head = "| corpus | clips | train | held out | hours | share | speakers | styles | weight | licence | set aside |"
    lines = [head, "|" + " --- |" * 11]
    for r in mixture:
        aside = ", ".join(f"{count} {reason}" for reason, count in r["set_aside"].items()) or "none"
        cells = (r["corpus"], r["clips"], r["train_rows"], r["held_out_rows"], f"{r['train_hours']:.2f}")
        more = (
            f"{r['share']:.1%}",
            len(r["speakers"]),
            len(r["styles"]),
            f"{r['weight']:g}",
            r["licence"] or "unknown",
        )
        lines.append("| " + " | ".join(escaped(cell) for cell in (*cells, *more, aside)) + " |")
    return "\n".join(lines)
