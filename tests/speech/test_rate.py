"""Phonemes exactly as g2p gives them, in both of its behaviours, and the two rates made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parler_assets.speech.annotation.rate import phonemes, speaking_rate
from parler_assets.speech.lexicon import lexicon

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden_g2p.json").read_text(encoding="utf-8"))
BEHAVIOURS = {"before_2_2": "g2p_1.1.20230822", "since_2_2": "g2p_2.3.2"}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["text"][:20])
def test_golden_strings(row, behaviour):
    assert phonemes(row["text"], behaviour) == row[BEHAVIOURS[behaviour]]


@pytest.mark.parametrize(
    ("spoken", "seconds", "rate"),
    [
        ("** ɑɹ ju θɹɛtʌnɪŋ mi?", 126 * 0.016875, 9.876543),
        ("faɪnd sɑɹdʒʌnt pɛpɜ˞.", 97 * 0.016875, 12.829324),
        ("haʊ du ju θɔ ɪt?", 30 * 0.016875, 31.604938),
        ("dʌz jist ɹaɪz?", 0.0, 1400.0),
    ],
)
def test_published_rates(spoken, seconds, rate):
    """Rates of the published Expresso rows; where no speech was found, DataSpeech divides by 0.01 s."""
    assert speaking_rate(spoken, seconds) == pytest.approx(rate, rel=1e-6)


def test_lexicon_is_as_large_as_g2ps():
    assert len(lexicon()) == 126046


@pytest.mark.parametrize(
    ("text", "expected"),
    [("42", ""), ("日本 cat", " kæt"), ("😀 cat!", "😀 kæt!"), ("naïve\u0301", ""), ("two\u00a0cats", "tu\u00a0kæts")],
)
def test_what_is_not_english(text, expected):
    assert phonemes(text) == expected


@given(st.text(max_size=60), st.sampled_from(sorted(BEHAVIOURS)))
def test_any_text_has_phonemes_and_keeps_its_spaces(text, behaviour):
    spoken = phonemes(text, behaviour)
    assert [c for c in spoken if c.isspace()] == [c for c in text if c.isspace()]


@given(st.lists(st.sampled_from(["don't", "U.S.A.", "cat", "state-of-the-art", "zzzyx", "it's"]), max_size=6))
def test_words_do_not_depend_on_their_neighbours(words):
    for behaviour in BEHAVIOURS:
        assert phonemes(" ".join(words), behaviour) == " ".join(phonemes(word, behaviour) for word in words)
