"""The check of faithfulness against the verdicts of a reader (`judged/`), and what each fault is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from parler_assets.speech.descriptions.checking.faults import faults, form_faults, stripped

NAMES = ("Jerry", "Elisabeth", "Thomas", "Talia")
JUDGED = Path(__file__).parents[1] / "judged"
ASKED = {"name": "Jerry", "style": "happy", "speaking_rate": "quite fast", "quality": "high"}
GOOD = "Jerry speaks happily and quite fast, with high quality audio."


def judged(file: str) -> list[tuple[dict[str, str], str, bool]]:
    """(attributes, sentence, whether a reader calls it faithful)."""
    found, attributes = [], {}
    for line in (JUDGED / file).read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "@":
            attributes = _attributes(rest)
        elif kind in ("+", "-"):
            found.append((attributes, rest.replace("\\n", "\n"), kind == "+"))
    return found


def _attributes(line: str) -> dict[str, str]:
    words: dict[str, list[str]] = {}
    for word in line.split():
        key, equals, value = word.partition("=")
        if equals:
            words[key] = [value]
        else:
            words[list(words)[-1]].append(word)
    return {key: " ".join(values) for key, values in words.items()}


def accepts(sentence: str, attributes: dict[str, str]) -> bool:
    return not faults(stripped(sentence), attributes, NAMES)


def precision_and_recall(pairs: list[tuple[bool, bool]]) -> tuple[float, float]:
    """Of (predicted, true)."""
    right = sum(predicted and true for predicted, true in pairs)
    return right / sum(predicted for predicted, _ in pairs), right / sum(true for _, true in pairs)


@pytest.mark.parametrize("file", ["tuned.txt", "first.txt", "fresh.txt"])
def test_it_agrees_with_a_reader(file):
    """Precision and recall of at least 0.95, both of finding faithful sentences and of finding the others."""
    verdicts = [(accepts(sentence, attributes), good) for attributes, sentence, good in judged(file)]
    assert min(precision_and_recall(verdicts)) >= 0.95
    assert min(precision_and_recall([(not accepted, not good) for accepted, good in verdicts])) >= 0.95


def test_there_is_enough_to_agree_on():
    sentences = judged("tuned.txt") + judged("first.txt") + judged("fresh.txt")
    assert len(sentences) == len({(sentence, str(asked)) for asked, sentence, _ in sentences}) >= 200
    assert 70 < sum(good for _, _, good in sentences) < 120


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("Jerry speaks happily and [quite fast], with high quality audio.", "brackets or markup"),
        ("Sure, Jerry speaks happily and quite fast, with high quality audio.", "preamble"),
        (f"{GOOD}\n{GOOD}", "several lines"),
        ("Jerry speaks happily / sadly and quite fast, with high quality audio.", "alternatives"),
        ("erry speaks happily and quite fast, with high quality audio.", "cut"),
        ("Jerry speaks happily and quite fast, with high quality", "cut"),
        ("Jerry speaks.", "length"),
        (GOOD[:-1] + ", as anybody can hear who listens to it" * 20 + ".", "length"),
        ("Jerry spricht fröhlich und recht schnell, mit hoher Qualität.", "language"),
        ("Jerry говорит радостно и довольно быстро, with the high quality audio.", "language"),
        ("Jerry speaks happily and fast fast fast fast, with high quality audio.", "stutter"),
        ("Thomas speaks happily and quite fast, with high quality audio.", "name"),
        ("Jerry speaks happily and quite fast, and Talia laughs, with high quality audio.", "another name"),
        ("Jerry speaks quite fast, with high quality audio.", "style"),
        ("Jerry speaks happily and sadly and quite fast, with high quality audio.", "another style"),
        ("Jerry speaks happily, with high quality audio.", "speaking_rate"),
        ("Jerry speaks happily and quite fast.", "quality"),
    ],
)
def test_each_fault_has_its_name(text, kind):
    assert kind in {fault.split(":")[0] for fault in faults(text, ASKED, NAMES)}


def test_quotation_marks_around_an_answer_are_taken_off():
    assert stripped(f'  "{GOOD}"\n') == GOOD
    assert accepts(f"“{GOOD}”", ASKED)


def test_form_is_judged_without_knowing_what_was_asked():
    assert not form_faults(GOOD)
    assert form_faults("ion is: A man speaks slowly with the [pitch].")
