"""What the report says in words: scores as rows to draw, where the model fails, and what the page cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parler_assets.tts.report.cells import Cell
from parler_assets.tts.scoring.metrics import COLUMNS, NAMES
from parler_assets.tts.scoring.table import at_chance, learning_of

UNIT = {  # metrics drawn on an axis from 0 to 1, in this order
    "speaker_gender",
    "speaker_probe",
    "style_probe",
    "rate_within_one",
    "rate_exact",
    "rate_monotone",
    "rate_spearman",
    "word_error_rate",
}


@dataclass(frozen=True)
class Row:
    """One metric over all systems, as points with intervals on an axis from 0 to 1."""

    metric: str
    name: str
    points: list[dict]


def score_rows(card: dict) -> list[Row]:
    found = {(score["metric"], score["system"]): score for score in card["scores"]}
    rows = []
    for metric in (name for name in NAMES if name in UNIT):
        points = [found[metric, system] for system in COLUMNS if (metric, system) in found]
        if points:
            rows.append(Row(metric, NAMES[metric], [_drawn(point) for point in points]))
    return rows


def _drawn(score: dict) -> dict:
    left, right = (100 * min(1.0, max(0.0, score[key])) for key in ("low", "high"))
    return score | {"left": left, "width": max(0.5, right - left), "at": 100 * min(1.0, max(0.0, score["value"]))}


def failures(card: dict | None, made: Sequence[Cell], aside: Sequence[dict]) -> list[str]:
    """Where the model fails, from the scores and from the samples themselves, the gravest first."""
    players = [player for cell in made for take in cell.takes for player in take.players]
    ours = [player for player in players if player.system == "finetuned"]
    silent, endless = sum(p.silent for p in ours), sum(p.ended is False for p in ours)
    found = [f"{silent} of {len(ours)} fine-tuned samples shown are silent."] if silent else []
    if endless:
        found.append(f"{endless} of {len(ours)} fine-tuned samples shown did not end by themselves and were cut.")
    if aside:
        found.append(f"{len(aside)} samples are missing: {aside[0]['reason']} (first: {aside[0]['id']}).")
    if card is None:
        return [*found, "These samples have not been scored yet; materialize scorecard."]
    scores = {(score["metric"], score["system"]): score for score in card["scores"]}
    for metric, score, chance in at_chance(card):
        interval = f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"
        found.append(f"{_capital(NAMES[metric])}: {interval} cannot be told from chance ({chance:.2f}).")
    words = scores.get(("word_error_rate", "finetuned"))
    if words and words["value"] > 0.3:
        found.append(f"Words: {100 * words['value']:.0f} % are wrong to an ASR that knows all possible sentences.")
    found += [f"Worse than its base: {flag}." for flag in card["worse_than_base"]]
    return found or ["No score of this page is at chance, and nothing is silent, endless or missing."]


def cannot_show(card: dict | None) -> list[str]:
    """What no number on the page says."""
    limits = [
        "Whether people like it: no listener is in these scores. Use the blind comparison and keep your votes.",
        "Style beyond these classes: the probes know these speakers and styles only, and learn from few clips.",
        "Anything the codec loses: nothing generated can sound better than “copy”.",
        "Real clips are asked for the rate that was measured on them, so their rate is right by construction.",
    ]
    if card:
        limits += [_capital(line.removeprefix("- ").replace("*", "").replace("`", "")) for line in learning_of(card)]
        limits += _strange(card)
    if any(score["metric"] == "word_error_rate" for score in (card or {}).get("scores", [])):
        limits.append(
            "Open-vocabulary intelligibility: the ASR chooses among the corpus's own sentences, "
            "which flatters everything."
        )
    return limits


def _strange(card: dict) -> list[str]:
    """Where real recordings score below their copies: the probes learn from copies, as all generated speech is."""
    scores = {(score["metric"], score["system"]): score for score in card["scores"]}
    pairs = [(scores.get((m, "real")), scores.get((m, "copy"))) for m in ("speaker_probe", "style_probe")]
    if not any(real and copy and real["high"] < copy["low"] for real, copy in pairs):
        return []
    return [
        "Voice and style of real recordings: the probes learn from the codec's copies, so that recordings which "
        "never went through the codec are strange to them. Compare with “copy”, not with “real”."
    ]


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
