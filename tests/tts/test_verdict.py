"""The few lines that a run ends with, from scorecards of every kind."""

from __future__ import annotations

import pytest

from parler_assets.tts.report.verdict import WIDTH, headlines, verdict_lines


def score(metric: str, system: str, value: float, low: float | None = None, high: float | None = None) -> dict:
    low, high = value - 0.1 if low is None else low, value + 0.1 if high is None else high
    return {"metric": metric, "system": system, "value": value, "low": low, "high": high, "note": "", "samples": 9}


def card(differences: list[dict] = (), scores: list[dict] = (), missing: list[dict] = ()) -> dict:
    return {"differences": list(differences), "scores": list(scores), "missing": list(missing), "worse_than_base": []}


def difference(metric: str, low: float, high: float) -> dict:
    return score(metric, "finetuned - base", (low + high) / 2, low, high)


def lines(made: dict) -> dict[str, str]:
    return {line[:WIDTH].strip().rstrip(":"): line[WIDTH:] for line in verdict_lines(made)}


BOTH = [score("word_error_rate", "base", 0.26), score("word_error_rate", "finetuned", 0.4)]
BOTH += [score("style_probe", "base", 0.43), score("style_probe", "finetuned", 0.5)]


@pytest.mark.parametrize(
    ("metric", "low", "high", "title", "said"),
    [
        ("style_hit", 0.02, 0.1, "Better than its base", "style (probe) 0.43 to 0.50"),
        ("style_hit", -0.2, -0.1, "Worse than its base", "style (probe) 0.43 to 0.50"),
        ("word_errors", 0.1, 0.9, "Worse than its base", "word error rate (grammar) 0.26 to 0.40"),
        ("word_errors", -0.9, -0.1, "Better than its base", "word error rate (grammar) 0.26 to 0.40"),
        ("style_hit", -0.1, 0.1, "No clear change", "style (probe) 0.43 to 0.50"),
        ("silent", 0.1, 0.3, "Worse than its base", "silent +0.20"),
    ],
)
def test_a_change_stands_in_the_line_of_its_kind(metric: str, low: float, high: float, title: str, said: str):
    assert lines(card([difference(metric, low, high)], BOTH))[title] == said


def test_what_is_not_said_to_have_changed_is_said_not_to_be_certain():
    assert lines(card()) == {
        "Better than its base": "nothing for certain",
        "Worse than its base": "nothing for certain",
    }


def test_chance_and_what_could_not_be_judged_are_named_and_long_lists_counted():
    scores = [score("speaker_gender", "finetuned", 0.5, 0.4), score("speaker_gender", "chance", 0.5)]
    missing = [{"metric": m, "system": "finetuned", "reason": "r" * 200} for m in ("distillmos", "squim_pesq")]
    found = lines(card(scores=scores, missing=missing))
    assert found["No better than chance"] == "gender by pitch 0.50"
    assert found["Not judged"].startswith("naturalness (DistillMOS, 1 to 5) and 1 more (rrr")
    assert len(found["Not judged"]) < 130


def test_headlines_are_the_first_six_that_are_scored_each_beside_the_other_systems():
    names = ["word_error_rate", "speaker_probe", "style_probe", "rate_spearman", "speaker_gender", "stopped_by_itself"]
    scores = [score(name, "finetuned", 0.5) for name in reversed(names)] + [score("style_probe", "chance", 0.2)]
    rows = headlines(card(scores=scores))
    assert [row["metric"] for row in rows] == names
    assert rows[2]["chance"]["value"] == 0.2
    assert rows[2]["real"] is None
