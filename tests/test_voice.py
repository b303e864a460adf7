"""A checkpoint that speaks a batch: what has ended is given out at once, and is what `generate` gives."""

from __future__ import annotations

import pytest
import torch

from parler_assets.recipe import Evaluation
from parler_assets.tts.voice import Voice
from tests.tiny_checkpoint import write_tiny_checkpoint

SETTINGS = Evaluation(speakers=["Jerry"], styles=["happy"], max_seconds=3.0)
TEXTS = ["the quick brown fox.", "jumps over the lazy dog.", "why not?"]
SAID = ["Jerry speaks slowly.", "Talia whispers.", "Jerry speaks in a happy voice."]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tiny_checkpoint(folder)
    return Voice(folder)


def test_samples_are_given_out_as_they_end(voice):
    seeds = [3, 1, 8]
    given = list(voice.speak_each(TEXTS, SAID, SETTINGS, seeds))
    assert {place for place, _ in given} == {0, 1, 2}
    assert [said.stopped for _, said in given] == [True, True, False], "the one that was cut comes last"
    spent = [said.seconds for _, said in given]
    assert 0 < spent[0] < spent[1] < spent[2]
    whole = voice.model.generate(**voice._inputs(TEXTS, SAID), **voice.sampling(SETTINGS), seed=seeds)
    for place, said in given:
        assert len(said.samples) == whole.audios_length[place]
        assert said.stopped == whole.ended[place]
        torch.testing.assert_close(torch.from_numpy(said.samples), whole.sequences[place, : len(said.samples)])


def test_a_batch_comes_in_the_order_of_its_texts(voice):
    said = voice.speak(TEXTS, SAID, SETTINGS, [3, 1, 8])
    alone = voice.speak(TEXTS[1:2], SAID[1:2], SETTINGS, [1])
    torch.testing.assert_close(torch.from_numpy(said[1].samples), torch.from_numpy(alone[0].samples))
