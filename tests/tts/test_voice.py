"""A checkpoint that speaks a batch: what has ended is given out at once, and is what `generate` gives."""

from __future__ import annotations

import pytest
import torch

from parler_assets.recipe import Evaluation
from parler_assets.speech.codec import codec as codecs
from parler_assets.tts.synthesis.voice import Voice, VoicePrompt
from tests.support.tiny_checkpoint import write_tiny_checkpoint

SETTINGS = Evaluation(speakers=["Jerry"], styles=["happy"], max_seconds=3.0)
TEXTS = ["the quick brown fox.", "jumps over the lazy dog.", "why not?"]
SAID = ["Jerry speaks slowly.", "Talia whispers.", "Jerry speaks in a happy voice."]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tiny_checkpoint(folder)
    voice = Voice(folder, precision="float32")  # whose rounding is the same alone and in a batch, on every machine
    voice.speak(TEXTS[:1], SAID[:1], SETTINGS, 3)  # what is compiled when first used counts for no sample
    return voice


def test_samples_are_given_out_as_they_end(voice):
    seeds = [3, 1, 8]
    given = list(voice.speak_each(TEXTS, SAID, SETTINGS, seeds))
    assert {place for place, _ in given} == {0, 1, 2}
    assert [said.ended for _, said in given] == [True, True, False], "the one that was cut comes last"
    assert all(said.seconds > 0 for _, said in given)
    whole = voice.model.generate(**voice.inputs(TEXTS, SAID), **voice.sampling(SETTINGS), seed=seeds)
    for place, said in given:
        assert len(said.samples) == whole.audios_length[place]
        assert said.ended == whole.ended[place]
        torch.testing.assert_close(torch.from_numpy(said.samples), whole.sequences[place, : len(said.samples)])


def test_a_batch_comes_in_the_order_of_its_texts(voice):
    said = voice.speak(TEXTS, SAID, SETTINGS, [3, 1, 8])
    alone = voice.speak(TEXTS[1:2], SAID[1:2], SETTINGS, [1])
    torch.testing.assert_close(torch.from_numpy(said[1].samples), torch.from_numpy(alone[0].samples))


def test_speech_that_continues_from_other_speech(voice):
    """What comes after is what `generate` says behind the same words and codes, without what stood before."""
    (first,) = voice.speak(TEXTS[:1], SAID[:1], SETTINGS, 3)
    after = VoicePrompt(TEXTS[0], first.codes)
    said = voice.speak(TEXTS[1:], SAID[:1] * 2, SETTINGS, [1, 8], after)
    joined = [f"{TEXTS[0]} {text}" for text in TEXTS[1:]]
    codes = torch.from_numpy(first.codes).expand(2, -1, -1)
    options = voice.sampling(SETTINGS) | {"audio_codes": codes, "seed": [1, 8]}
    whole = voice.model.generate(**voice.inputs(joined, SAID[:1] * 2), **options)
    T = first.codes.shape[1]
    assert len(first.samples) == T * voice.hop
    for one, code, sequence in zip(said, whole.codes, whole.sequences, strict=True):
        assert code[:, :T].tolist() == first.codes.tolist()
        assert code[:, T:].tolist() == one.codes.tolist()
        torch.testing.assert_close(torch.from_numpy(one.samples), sequence[T * voice.hop :][: len(one.samples)])


def test_speech_that_continues_is_streamed_as_it_is_spoken(voice):
    """Pieces joined are the speech, whether it continues from other speech or not, and its codes come with it."""
    (first,) = voice.speak(TEXTS[:1], SAID[:1], SETTINGS, 3)
    for after in (None, VoicePrompt(TEXTS[0], first.codes)):
        heard, ended = streamed(voice.stream(TEXTS[1:], SAID[:1] * 2, SETTINGS, [1, 8], after))
        spoken = voice.speak(TEXTS[1:], SAID[:1] * 2, SETTINGS, [1, 8], after)
        for parts, given, one in zip(heard, ended, spoken, strict=True):
            torch.testing.assert_close(torch.cat(parts), torch.from_numpy(one.samples), atol=1e-4, rtol=1e-3)
            assert given.codes.tolist() == one.codes.tolist()
            assert given.ended == one.ended


def streamed(stream):
    """Pieces of two texts, and what the stream returned."""
    heard = [[], []]
    while True:
        try:
            pieces = next(stream)
        except StopIteration as ended:
            return heard, ended.value
        for kept, part in zip(heard, pieces, strict=True):
            kept.append(torch.from_numpy(part))


def test_decoding_stays_within_its_budget_of_frames(voice, monkeypatch):
    """Many sounds of one length are decoded in parts, and are what they are at once."""
    codec = codecs.Codec(voice.model.audio_encoder)
    codes = [torch.randint(0, codec.codebook_size, (codec.codebooks, 7)) for _ in range(5)]
    whole = codec.decode_tensors(codes)
    sizes: list[int] = []
    decode = codec.network.decode

    def counted(audio_codes):
        sizes.append(audio_codes.shape[0] * audio_codes.shape[-1])
        return decode(audio_codes=audio_codes)

    monkeypatch.setattr(codec.network, "decode", counted)
    monkeypatch.setattr(codecs.alike, "__defaults__", (15,))
    for one, other in zip(codec.decode_tensors(codes), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert sizes == [14, 14, 7]
    assert codecs.alike([40, 3, 3], 0.5) == [[0], [1, 2]], "a longer one is decoded all the same"
