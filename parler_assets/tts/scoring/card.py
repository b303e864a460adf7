"""From measured samples to scores: every system beside chance, differences to the base, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.tts.scoring import adherence
from parler_assets.tts.scoring.adherence import Attribute
from parler_assets.tts.scoring.asr import NAME
from parler_assets.tts.scoring.crossed import held_out_score
from parler_assets.tts.scoring.drift import drift_scores, long_word_errors
from parler_assets.tts.scoring.emphasis import emphasis_scores
from parler_assets.tts.scoring.metrics import GENERATED, HITS
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.sanity import sanity_scores
from parler_assets.tts.scoring.seed_spread import spread_scores
from parler_assets.tts.scoring.statistics import Missing, Outcome, bootstrap, mean, ratio
from parler_assets.tts.scoring.voices import Speakers
from parler_assets.tts.scoring.words import errors_of

PLAIN = ("grid", "graded", "clip")  # kinds that are asked for a voice and a rate and nothing unusual


def of_kinds(rows: Sequence[dict], *kinds: str) -> list[dict]:
    """Rows of these kinds."""
    return [row for row in rows if row["kind"] in kinds]


def with_requests(rows: Sequence[dict], attributes: Sequence[Attribute] = (adherence.RATE,)) -> list[dict]:
    """Adds `<attribute>_asked`. Real clips and their copies are asked for what was measured on the real clip."""
    real = {row["prompt"]: row for row in rows if row["system"] == "real"}
    made = []
    for row in rows:
        source = real.get(row["prompt"], {}) if row["kind"] == "clip" else {row["attribute"]: row["label"]}
        asked = {attribute.asked: source.get(attribute.label) for attribute in attributes}
        made.append({**row, **asked, "rate": row["rate"] or asked.get("rate")})
    return made


def with_hits(rows: Sequence[dict], probes: Mapping[str, Probe], known: Speakers) -> list[dict]:
    """Adds what the probes heard, and whether each request was met (None where it cannot be told)."""
    judged = [dict(row) for row in rows]
    stacked = np.array([row["features"] for row in rows])
    for name, probe in probes.items():
        for row, heard in zip(judged, probe.predict(stacked), strict=True):
            row[f"{name}_heard"] = heard
            row[f"{name}_hit"] = None if heard is None or row[name] not in probe.classes else heard == row[name]
    for row in judged:
        row["gender_hit"] = adherence.gender_hit(row, known.genders)
        row |= {f"{attribute.name}_within_one": _within_one(row, attribute) for attribute in known.attributes}
    return judged


def _within_one(row: Mapping, attribute: Attribute) -> bool | None:
    asked, found = attribute.place(row, attribute.asked), attribute.place(row, attribute.label)
    return None if asked is None or found is None else abs(asked - found) <= 1


def system_scores(
    system: str, rows: Sequence[dict], probes: Mapping[str, Probe], known: Speakers, recogniser: str
) -> list[Outcome]:
    """All scores of one system that need no further model."""
    plain = of_kinds(rows, *PLAIN)
    scores: list[Outcome] = []
    for attribute in known.attributes:
        asked = plain if attribute.name == "rate" else [row for row in rows if row.get(attribute.asked)]
        if not asked and attribute.name != "rate":
            continue
        scores += adherence.label_scores(system, asked, attribute)
        if system in GENERATED:
            scores.append(adherence.monotonicity(system, asked, attribute))
    scores.append(adherence.gender_score(system, plain, known.genders))
    scores += adherence.pitch_scores(system, plain, known.pitches)
    for name, probe in probes.items():
        shown = plain if name == "speaker" else of_kinds(rows, "grid", "clip")
        scores.append(probe.score(system, [row[name] for row in shown], [row[f"{name}_heard"] for row in shown]))
        scores += held_out_score(system, name, shown)
    scores.append(word_error_rate(system, plain, recogniser))
    if system == "chance":
        return scores
    scores += [*sanity_scores(system, rows), *emphasis_scores(system, rows)]
    scores += [long_word_errors(system, rows)] if system in GENERATED and not recogniser else []
    scores += drift_scores(system, rows, probes.get("speaker"))
    return scores + spread_scores(system, of_kinds(rows, "grid", "clip"))


def word_error_rate(system: str, rows: Sequence[dict], recogniser: str) -> Outcome:
    """Errors over words of all samples, resampled by sample; `recogniser` says why there is none."""
    if recogniser:
        return Missing("word_error_rate", system, f"grammar recogniser: {recogniser}")
    pairs = [(row["word_errors"], row["words"]) for row in rows if row.get("words")]
    return bootstrap(
        "word_error_rate",
        system,
        np.reshape(pairs, (-1, 2)),
        ratio,
        f"by {NAME}, {len(pairs)} samples of {len(rows)}",
    )


def chance_rows(rows: Sequence[dict], seed: int) -> list[dict]:
    """The fine-tuned samples judged against the requests of other samples of their kind."""
    asked = ("speaker", "style", "rate", "text", *(f"{name}_asked" for name in adherence.OTHERS))
    dealt = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        chosen = of_kinds(rows, kind)
        dealt += adherence.shuffled(chosen, [key for key in asked if key in chosen[0]], seed)
    return [row if row["transcript"] is None else {**row, **errors_of(row["text"], row["transcript"])} for row in dealt]


def paired_differences(rows: Sequence[dict], first: str = "finetuned", second: str = "base") -> list[Outcome]:
    """`first` minus `second` on the same prompts with the same seeds, bootstrapped by prompt."""
    systems = {name: {row["prompt"]: row for row in rows if row["system"] == name} for name in (first, second)}
    return paired(systems[first], systems[second], f"{first} - {second}")


PAIRED = (*HITS, "word_errors", "word_errors_open", "silent", "distillmos", "squim_pesq")


def paired(first: Mapping[str, dict], second: Mapping[str, dict], named: str) -> list[Outcome]:
    """Differences over the prompts that both have; what neither measured is left out."""
    shared = [(row, second[key]) for key, row in first.items() if key in second]
    scores = []
    for metric in PAIRED:
        pairs = [(a.get(metric), b.get(metric)) for a, b in shared]
        values = [float(a) - float(b) for a, b in pairs if a is not None and b is not None]
        if values:
            scores.append(mean(metric, named, values, "paired by prompt"))
    return scores


def confusions(rows: Sequence[dict], probes: Mapping[str, Probe], attributes: Sequence[Attribute]) -> dict:
    """Confusion matrices of the fine-tuned samples and of the copies, asked by measured."""
    found = {}
    for system in ("copy", "finetuned"):
        chosen = [row for row in rows if row["system"] == system]
        for attribute in attributes:
            if any(row.get(attribute.asked) for row in chosen):
                columns = (attribute.asked, attribute.label, attribute.labels)
                found[f"{system}/{attribute.name}"] = adherence.label_confusion(chosen, *columns)
        for name, probe in probes.items():
            shown = chosen if name == "speaker" else of_kinds(chosen, "grid", "clip")
            found[f"{system}/{name}"] = adherence.label_confusion(shown, name, f"{name}_heard", probe.classes)
    return found


JUDGED = ("squim_stoi", "squim_pesq", "squim_si_sdr", "distillmos")


def judged_scores(system: str, rows: Sequence[dict], reasons: Mapping[str, str]) -> list[Outcome]:
    """Scores of the judges that need weights of their own; a judge that is not here is missing, with its reason."""
    scores: list[Outcome] = []
    for name in JUDGED:
        values = [row[name] for row in rows if row.get(name) is not None]
        scores.append(Missing(name, system, reasons[name]) if name in reasons else mean(name, system, values))
    if "word_error_rate_open" in reasons:
        return [*scores, Missing("word_error_rate_open", system, reasons["word_error_rate_open"])]
    pairs = [(row["word_errors_open"], row["words_open"]) for row in rows if row.get("words_open")]
    return [*scores, bootstrap("word_error_rate_open", system, np.reshape(pairs, (-1, 2)), ratio, "by Whisper")]
