"""The scorecard as Markdown, as flat numbers for MLflow, and as one JSON line a sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from parler_assets.recipe import Thresholds
from parler_assets.speech import shards

COLUMNS = ("real", "copy", "base", "finetuned", "chance")
NAMES = {
    "rate_exact": "rate: exact label",
    "rate_within_one": "rate: within one label",
    "rate_spearman": "rate: rank correlation",
    "rate_monotone": "rate: faster when asked faster",
    "speaker_gender": "gender by pitch",
    "pitch_correlation": "pitch: correlation with the speaker's",
    "pitch_error_semitones": "pitch: error in semitones",
    "speaker_probe": "speaker (probe)",
    "style_probe": "style (probe)",
    "word_error_rate": "word error rate (grammar)",
    "silent": "silent",
    "length_plausible": "plausible length",
    "stopped_by_itself": "ended by itself",
    "real_time_factor": "seconds per second of audio",
}
LOWER_IS_BETTER = {"word_error_rate", "held_out_loss", "pitch_error_semitones", "silent"}


def markdown(card: dict) -> str:
    """The table of scores with intervals, the differences to the base, and what is missing."""
    cells = {(score["metric"], score["system"]): score for score in card["scores"]}
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for metric, name in NAMES.items():
        row = [_cell(cells.get((metric, system))) for system in COLUMNS]
        if any(cell != "–" for cell in row):
            lines.append(f"| {name} | " + " | ".join(row) + " |")
    lines += ["", "95 % intervals in brackets. For real clips the rate asked for is the one measured on them.", ""]
    for difference in card["differences"]:
        name = NAMES.get(difference["metric"], difference["metric"].replace("_", " "))
        lines.append(f"- {difference['system']}, {name}: {_cell(difference)}")
    missing = {(entry["metric"], entry["reason"]) for entry in card["missing"] if entry["system"] == "finetuned"}
    lines += [f"- not scored: {metric}: {reason}" for metric, reason in sorted(missing)]
    lines += [f"- **got worse than its base: {flag}**" for flag in card["worse_than_base"]]
    return "\n".join(lines) + "\n"


def _cell(score: dict | None) -> str:
    return "–" if score is None else f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def flat(card: dict) -> dict[str, float]:
    """`finetuned/speaker_gender` and the like: values, and the bounds of the fine-tuned system's."""
    numbers = {f"{score['system']}/{score['metric']}": score["value"] for score in card["scores"]}
    for score in card["scores"]:
        if score["system"] == "finetuned":
            numbers[f"finetuned/{score['metric']}_low"] = score["low"]
            numbers[f"finetuned/{score['metric']}_high"] = score["high"]
    return numbers


def check_thresholds(card: dict, thresholds: Thresholds) -> list[str]:
    """What keeps a checkpoint from release: scores on the wrong side of a threshold, or missing where one is set."""
    found = {score["metric"]: score["value"] for score in card["scores"] if score["system"] == "finetuned"}
    failures = []
    for metric, limit in thresholds.model_dump().items():
        if limit is None:
            continue
        value, lower = found.get(metric), metric in LOWER_IS_BETTER
        if value is None:
            failures.append(f"{metric}: not scored, the recipe wants {'at most' if lower else 'at least'} {limit}")
        elif value > limit if lower else value < limit:
            failures.append(f"{metric}: {value:.3f}, the recipe wants {'at most' if lower else 'at least'} {limit}")
    return failures


def not_above_chance(card: dict) -> list[str]:
    """Shares of met requests whose interval, for the fine-tuned checkpoint, does not lie above chance."""
    found = {(score["metric"], score["system"]): score for score in card["scores"]}
    flags = []
    for metric in ("rate_within_one", "speaker_gender", "speaker_probe", "style_probe"):
        score, chance = found.get((metric, "finetuned")), found.get((metric, "chance"))
        if score and chance and score["low"] <= chance["value"]:
            flags.append(f"{NAMES[metric]}: {_cell(score)}, chance is {chance['value']:.2f}")
    return flags


def worse_than_base(differences: Sequence[dict]) -> list[str]:
    """Metrics whose paired difference to the base lies wholly on the wrong side of zero."""
    flags = []
    for score in differences:
        wrong = score["low"] > 0 if score["metric"] == "word_errors" else score["high"] < 0
        if wrong:
            flags.append(f"{score['metric']} {score['value']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]")
    return flags


def write_lines(path: Path, rows: Sequence[dict]) -> None:
    """One JSON object a sample, keyed as VERSA's result files are: `key` first, then a number or text per metric."""
    left_out = {"features", "id"}
    with shards.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            plain = {"key": row["id"], **{name: value for name, value in row.items() if name not in left_out}}
            plain["wer_grammar"] = row["word_errors"] / row["words"] if row.get("words") else None
            file.write(json.dumps(plain, ensure_ascii=False) + "\n")
