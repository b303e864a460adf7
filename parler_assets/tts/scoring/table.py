"""The scorecard as Markdown, as flat numbers for MLflow, and as one JSON line a sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from parler_assets import storage
from parler_assets.recipe import Thresholds

COLUMNS = ("real", "copy", "base", "finetuned", "chance")
NAMES = {
    "rate_exact": "rate: exact label",
    "rate_within_one": "rate: within one label",
    "rate_spearman": "rate: rank correlation",
    "rate_monotone": "rate: faster when asked faster",
    "noise_exact": "noise: exact label",
    "noise_within_one": "noise: within one label",
    "noise_spearman": "noise: rank correlation",
    "noise_monotone": "noise: clearer when asked clearer",
    "reverberation_exact": "reverberation: exact label",
    "reverberation_within_one": "reverberation: within one label",
    "reverberation_spearman": "reverberation: rank correlation",
    "reverberation_monotone": "reverberation: closer when asked closer",
    "speech_monotony_exact": "melody: exact label",
    "speech_monotony_within_one": "melody: within one label",
    "speech_monotony_spearman": "melody: rank correlation",
    "speech_monotony_monotone": "melody: livelier when asked livelier",
    "pitch_exact": "pitch: exact label",
    "pitch_within_one": "pitch: within one label",
    "pitch_spearman": "pitch: rank correlation",
    "pitch_monotone": "pitch: higher when asked higher",
    "speaker_gender": "gender by pitch",
    "pitch_correlation": "pitch: correlation with the speaker's",
    "pitch_error_semitones": "pitch: error in semitones",
    "speaker_probe": "speaker (probe)",
    "style_probe": "style (probe)",
    "speaker_held_out": "speaker (probe of held-out clips)",
    "style_held_out": "style (probe of held-out clips)",
    "emphasis_stands_out": "emphasis: marked word stands out",
    "emphasis_rises": "emphasis: more than without the mark",
    "word_error_rate": "word error rate (grammar)",
    "word_error_rate_open": "word error rate (Whisper)",
    "long_word_error_rate": "long texts: word error rate (grammar)",
    "drift_speaker": "drift: surety of the speaker, end minus start",
    "drift_pitch_semitones": "drift: semitones, end against start",
    "drift_level_db": "drift: dB, end against start",
    "held_out_loss": "held-out loss",
    "speaker_every_seed": "seeds: all heard as the speaker",
    "spread_pitch_semitones": "seeds: spread of pitch in semitones",
    "spread_rate": "seeds: spread of rate, relative",
    "distillmos": "naturalness (DistillMOS, 1 to 5)",
    "squim_stoi": "intelligibility (SQUIM STOI)",
    "squim_pesq": "quality (SQUIM PESQ)",
    "squim_si_sdr": "distortion (SQUIM SI-SDR, dB)",
    "stoi": "STOI against the real clip",
    "gender_hit": "gender as asked",
    "speaker_hit": "speaker as asked",
    "style_hit": "style as asked",
    "word_errors": "words wrong in a sample (grammar)",
    "word_errors_open": "words wrong in a sample (Whisper)",
    "silent": "silent",
    "length_plausible": "plausible length",
    "stopped_by_itself": "ended by itself",
    "real_time_factor": "seconds per second of audio",
}
LOWER_IS_BETTER = {
    "word_error_rate",
    "word_error_rate_open",
    "held_out_loss",
    "pitch_error_semitones",
    "silent",
    "word_errors",
    "word_errors_open",
}
VERSA = {  # VERSA's names of what it has too (wavlab-speech/versa, "Key in Report")
    "heard_open": "whisper_hyp_text",
    "deleted_open": "whisper_wer_delete",
    "inserted_open": "whisper_wer_insert",
    "replaced_open": "whisper_wer_replace",
    "equal_open": "whisper_wer_equal",
    "heard": "grammar_hyp_text",
    "deleted": "grammar_wer_delete",
    "inserted": "grammar_wer_insert",
    "replaced": "grammar_wer_replace",
    "equal": "grammar_wer_equal",
    "text": "ref_text",
    "squim_stoi": "torch_squim_stoi",
    "squim_pesq": "torch_squim_pesq",
    "squim_si_sdr": "torch_squim_si_sdr",
}


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
    lines += learning_of(card)
    lines += [f"- not scored: {', '.join(metrics)}: {reason}" for reason, metrics in missing_of(card).items()]
    lines += [f"- **got worse than its base: {flag}**" for flag in card["worse_than_base"]]
    return "\n".join(lines) + "\n"


def learning_of(card: dict) -> list[str]:
    """What the probes learnt from, where that may flatter."""
    notes = {s["metric"]: s["note"] for s in card["scores"] if s["metric"] in ("speaker_probe", "style_probe")}
    flattered = [name for name, note in notes.items() if "training clips" in note]
    if not flattered:
        return []
    reason = notes[flattered[0]].partition("learnt from ")[2]
    return [
        f"- **the probes learnt from {reason}**, which a fine-tuned model has heard too. The rows `probe of held-out "
        "clips` are judged without them, from fewer clips: compare each with `copy` on its own row."
    ]


def missing_of(card: dict, systems: Sequence[str] = ("finetuned", "copy")) -> dict[str, list[str]]:
    """Reason to the scores that are not to be had for it."""
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
        wrong = score["low"] > 0 if score["metric"] in LOWER_IS_BETTER else score["high"] < 0
        if wrong:
            name = NAMES.get(score["metric"], score["metric"])
            flags.append(f"{name} {score['value']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]")
    return flags


def write_lines(path: Path, rows: Sequence[dict]) -> None:
    """One JSON object a sample, as VERSA's result files are: `key`, then a number or text per metric, by its names."""
    left_out = {"features", "id", "first_features", "last_features", "prominence"}
    with storage.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            plain = {VERSA.get(name, name): value for name, value in row.items() if name not in left_out}
            plain["wer_grammar"] = row["word_errors"] / row["words"] if row.get("words") else None
            file.write(json.dumps({"key": row["id"], **plain}, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> list[dict]:
    """The rows that `write_lines` wrote, by our names."""
    named = {theirs: ours for ours, theirs in VERSA.items()} | {"key": "id"}
    lines = path.read_text(encoding="utf-8").splitlines()
    return [{named.get(name, name): value for name, value in json.loads(line).items()} for line in lines]
