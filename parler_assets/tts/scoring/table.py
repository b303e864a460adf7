"""The scorecard as Markdown, as flat numbers for MLflow, and as one JSON line a sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from parler_assets import storage
from parler_assets.intake.markdown import escaped
from parler_assets.recipe import Thresholds
from parler_assets.tts.scoring.metrics import (
    ABOVE_CHANCE,
    COLUMNS,
    NAMES,
    limit_in_words,
    name_of,
    reaches,
    verdict,
)
from parler_assets.tts.synthesis import kept

EARLIER = {**kept.EARLIER, "heard": "transcript", "heard_open": "transcript_open"}  # names in files made before
VERSA = {  # VERSA's names of what it has too (wavlab-speech/versa, "Key in Report")
    "transcript_open": "whisper_hyp_text",
    "deleted_open": "whisper_wer_delete",
    "inserted_open": "whisper_wer_insert",
    "replaced_open": "whisper_wer_replace",
    "equal_open": "whisper_wer_equal",
    "transcript": "grammar_hyp_text",
    "deleted": "grammar_wer_delete",
    "inserted": "grammar_wer_insert",
    "replaced": "grammar_wer_replace",
    "equal": "grammar_wer_equal",
    "text": "ref_text",
    "squim_stoi": "torch_squim_stoi",
    "squim_pesq": "torch_squim_pesq",
    "squim_si_sdr": "torch_squim_si_sdr",
}


FILE, LINES, FILES = "scorecard.json", "samples.jsonl", "files"  # the card, its samples, their digests in the card
CARD = storage.Schema("scorecard", ["scores", "differences", "missing"])


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
        lines.append(f"- {difference['system']}, {name_of(difference['metric'])}: {_cell(difference)}")
    lines += learning_of(card)
    lines += [f"- not scored: {', '.join(metrics)}: {escaped(reason)}" for reason, metrics in missing_of(card).items()]
    lines += [f"- **got worse than its base: {flag}**" for flag in card["worse_than_base"]]
    return "\n".join(lines) + "\n"


def learning_of(card: dict) -> list[str]:
    """What the probes learnt from, where that may flatter."""
    notes = {s["metric"]: s["note"] for s in card["scores"] if s["metric"] in ("speaker_probe", "style_probe")}
    flattered = [name for name, note in notes.items() if "training clips" in note]
    if not flattered:
        return []
    reason = escaped(notes[flattered[0]].partition("learnt from ")[2])
    return [
        f"- **the probes learnt from {reason}**, which a fine-tuned model has heard too. The rows `probe of held-out "
        "clips` are judged without them, from fewer clips: compare each with `copy` on its own row."
    ]


def missing_of(card: dict, systems: Sequence[str] = ("finetuned", "copy")) -> dict[str, list[str]]:
    """Reason to the scores that are unavailable for it."""
    found: dict[str, list[str]] = {}
    for entry in card["missing"]:
        metrics = found.setdefault(entry["reason"], []) if entry["system"] in systems else []
        if entry["metric"] not in metrics:
            metrics.append(entry["metric"])
    return {reason: metrics for reason, metrics in found.items() if metrics}


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
    if card.get("held_out_loss") is not None:
        found["held_out_loss"] = card["held_out_loss"]
    failures = []
    for metric, limit in thresholds.model_dump().items():
        if limit is None:
            continue
        value, wanted = found.get(metric), f"the recipe wants {limit_in_words(metric, limit)}"
        if value is None:
            failures.append(f"{metric}: not scored, {wanted}")
        elif not reaches(metric, value, limit):
            failures.append(f"{metric}: {value:.3f}, {wanted}")
    return failures


def at_chance(card: dict) -> list[tuple[str, dict, float]]:
    """Metrics whose interval, for the fine-tuned checkpoint, does not lie above chance: name, score, chance's value."""
    found = {(score["metric"], score["system"]): score for score in card["scores"]}
    pairs = [(name, found.get((name, "finetuned")), found.get((name, "chance"))) for name in ABOVE_CHANCE]
    return [
        (name, score, chance["value"])
        for name, score, chance in pairs
        if score and chance and score["low"] <= chance["value"]
    ]


def not_above_chance(card: dict) -> list[str]:
    """`at_chance` in words."""
    return [f"{NAMES[name]}: {_cell(score)}, chance is {chance:.2f}" for name, score, chance in at_chance(card)]


def worse_than_base(differences: Sequence[dict]) -> list[str]:
    """Metrics whose paired difference to the base lies wholly on the wrong side of zero."""
    worse = [one for one in differences if verdict(one["metric"], one["low"], one["high"]) == "worse"]
    return [f"{name_of(d['metric'])} {d['value']:+.2f} [{d['low']:+.2f}, {d['high']:+.2f}]" for d in worse]


def write_lines(path: Path, rows: Sequence[dict]) -> None:
    """One JSON object a sample, as VERSA's result files are: `key`, then a number or text per metric, by its names."""
    left_out = {"features", "id", "first_features", "last_features", "prominence"}
    with storage.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            plain = {VERSA.get(name, name): value for name, value in row.items() if name not in left_out}
            plain["wer_grammar"] = row["word_errors"] / row["words"] if row.get("words") else None
            file.write(json.dumps({"key": row["id"], **plain}, ensure_ascii=False) + "\n")


def sample_lines(folder: Path) -> list[dict]:
    """The samples of a scorecard.

    Raises:
        FileNotFoundError: there are none.
        RecordError: they are not what was written with the card.
    """
    path, remedy = folder / LINES, "materialize the scorecard again"
    if not path.is_file():
        raise FileNotFoundError(path)
    card = CARD.find(folder / FILE, remedy) or {}
    if damage := storage.damage(folder, {LINES: card[FILES][LINES]} if FILES in card else {}):
        raise storage.RecordError(f"{damage}; {remedy}")
    try:
        return read_lines(path)
    except ValueError as error:
        raise storage.RecordError(f"{path}: damaged ({error}); {remedy}") from None


def read_lines(path: Path) -> list[dict]:
    """The rows that `write_lines` wrote, by our names."""
    named = EARLIER | {theirs: ours for ours, theirs in VERSA.items()} | {"key": "id"}
    lines = path.read_text(encoding="utf-8").splitlines()
    return [{named.get(name, name): value for name, value in json.loads(line).items()} for line in lines]
