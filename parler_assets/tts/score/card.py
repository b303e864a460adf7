"""From measured samples to scores: every system beside chance, differences to the base, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.tts.score import adherence
from parler_assets.tts.score.numbers import Missing, Outcome, bootstrap, mean
from parler_assets.tts.score.probe import Probe
from parler_assets.tts.score.recogniser import NAME
from parler_assets.tts.score.sanity import sanity_scores
from parler_assets.tts.score.voices import Speakers

SYSTEMS = ("real", "copy", "base", "finetuned")
HITS = ("rate_within_one", "gender_hit", "speaker_hit", "style_hit")
NOT_HERE = (
    ("word_error_rate_open", "an open recogniser (Whisper) needs weights that are not shipped"),
    ("naturalness", "a predictor of naturalness (UTMOS) needs weights that are not shipped; listen instead"),
)


def with_requests(rows: Sequence[dict]) -> list[dict]:
    """Real clips and their copies are asked for what was measured on the real clip."""
    labels = {row["prompt"]: row.get("speaking_rate") for row in rows if row["system"] == "real"}
    return [row if row["rate"] else {**row, "rate": labels.get(row["prompt"])} for row in rows]


def with_hits(rows: Sequence[dict], probes: Mapping[str, Probe], known: Speakers) -> list[dict]:
    """Adds what the probes heard, and whether each request was met (None where it cannot be told)."""
    judged = [dict(row) for row in rows]
    stacked = np.array([row["features"] for row in rows])
    for name, probe in probes.items():
        for row, heard in zip(judged, probe.heard(stacked), strict=True):
            row[f"{name}_heard"] = heard
            row[f"{name}_hit"] = None if heard is None or row[name] not in probe.classes else heard == row[name]
    for row in judged:
        row["gender_hit"] = _gender_hit(row, known.genders)
        row["rate_within_one"] = _within_one(row)
    return judged


def _gender_hit(row: Mapping, genders: Mapping[str, str]) -> bool | None:
    pitch = row.get("utterance_pitch_mean")
    if not pitch or row["speaker"] not in genders:
        return None
    return (pitch < adherence.BETWEEN_GENDERS) == (genders[row["speaker"]] == "male")


def _within_one(row: Mapping) -> bool | None:
    asked, found = row.get("rate"), row.get("speaking_rate")
    if asked not in adherence.RATES or found not in adherence.RATES:
        return None
    return abs(adherence.RATES.index(asked) - adherence.RATES.index(found)) <= 1


def system_scores(
    system: str, rows: Sequence[dict], probes: Mapping[str, Probe], known: Speakers, recogniser: str
) -> list[Outcome]:
    """All scores of one system."""
    scores = [*adherence.rate_scores(system, rows), adherence.gender_score(system, rows, known.genders)]
    scores += adherence.pitch_scores(system, rows, known.pitches)
    for name, probe in probes.items():
        scores.append(probe.score(system, [row[name] for row in rows], [row[f"{name}_heard"] for row in rows]))
    scores.append(word_error_rate(system, rows, recogniser))
    if system in ("base", "finetuned", "chance"):
        scores.append(adherence.monotonicity(system, rows))
    return scores if system == "chance" else scores + sanity_scores(system, rows)


def word_error_rate(system: str, rows: Sequence[dict], recogniser: str) -> Outcome:
    """Errors over words of all samples, resampled by sample; `recogniser` says why there is none."""
    if recogniser:
        return Missing("word_error_rate", system, f"grammar recogniser: {recogniser}")
    pairs = [(row["word_errors"], row["words"]) for row in rows if row["words"]]
    return bootstrap("word_error_rate", system, np.reshape(pairs, (-1, 2)), _errors_over_words, f"by {NAME}")


def _errors_over_words(drawn: np.ndarray) -> float:
    return float(drawn[:, 0].sum() / drawn[:, 1].sum())


def chance_rows(rows: Sequence[dict], seed: int) -> list[dict]:
    """The fine-tuned samples judged against other samples' requests."""
    from parler_assets.tts.score.recogniser import word_errors

    dealt = adherence.shuffled(rows, ("speaker", "style", "rate", "text"), seed)
    for row in dealt:
        if row["heard"] is not None:
            row["word_errors"], row["words"] = word_errors(row["text"], row["heard"])
    return dealt


def paired_differences(rows: Sequence[dict], first: str = "finetuned", second: str = "base") -> list[Outcome]:
    """`first` minus `second` on the same prompts with the same seeds, bootstrapped by prompt."""
    systems = {name: {row["prompt"]: row for row in rows if row["system"] == name} for name in (first, second)}
    shared = [(systems[first][key], systems[second][key]) for key in systems[first] if key in systems[second]]
    scores = []
    for metric in (*HITS, "word_errors"):
        pairs = [(a[metric], b[metric]) for a, b in shared if a[metric] is not None and b[metric] is not None]
        values = [float(a) - float(b) for a, b in pairs]
        scores.append(mean(metric, f"{first} - {second}", values, "paired by prompt"))
    return scores


def confusions(rows: Sequence[dict], probes: Mapping[str, Probe]) -> dict:
    """Confusion matrices of the fine-tuned samples and of the copies, asked by measured."""
    found = {}
    for system in ("copy", "finetuned"):
        chosen = [row for row in rows if row["system"] == system]
        found[f"{system}/rate"] = adherence.label_confusion(chosen, "rate", "speaking_rate", adherence.RATES)
        for name, probe in probes.items():
            found[f"{system}/{name}"] = adherence.label_confusion(chosen, name, f"{name}_heard", probe.classes)
    return found
