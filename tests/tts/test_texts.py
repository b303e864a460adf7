"""How long the texts are that a checkpoint was trained on, and where that is kept."""

from __future__ import annotations

import json

import pytest

from parler_assets.tts.data.texts import TextLengths, kept_lengths, sentences_of, text_lengths

ONE, TWO = "The old boat walks.", "Is it so? It is."


@pytest.mark.parametrize(
    ("texts", "sentences"),
    [([ONE] * 100, 1), ([ONE] * 99 + [TWO], 1), ([ONE] * 9 + [TWO], 2), ([TWO] * 9 + ["no end"], 2), (["..."], 1)],
)
def test_so_many_sentences_as_one_text_of_twenty_has(texts, sentences):
    found = text_lengths(texts)
    assert found
    assert found.sentences == sentences


def test_one_long_text_of_many_does_not_count():
    assert text_lengths([ONE] * 200 + ["word " * 100]) == TextLengths(len(ONE), 1)
    assert text_lengths([]) is None


def test_sentences_lose_nothing():
    text = "One; two: three! Four? 3.5 is a number. "
    assert "".join(sentences_of(text)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("record", [None, "no json", {}, {"texts": None}, {"texts": {"characters": "many"}}])
def test_a_checkpoint_that_does_not_say_has_none(tmp_path, record):
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(record)
        (tmp_path / "provenance.json").write_text(text)
    assert kept_lengths(tmp_path) is None


def test_a_checkpoint_says_what_it_was_trained_on(tmp_path):
    lengths = TextLengths(45, 1)
    (tmp_path / "provenance.json").write_text(json.dumps({"texts": lengths.as_dict()}))
    assert kept_lengths(tmp_path) == lengths
