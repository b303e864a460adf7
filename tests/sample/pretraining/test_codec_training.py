"""The codec's training: what it learns from, that it learns, and that pitch goes through codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra `sample`) is not installed")
pytest.importorskip("parselmouth", reason="praat-parselmouth (extra `sample`) is not installed")

from parler_assets.sample.pretraining import encoder, latent
from parler_assets.sample.pretraining.analysis import analyse
from parler_assets.sample.pretraining.codebooks import place_codebooks
from parler_assets.sample.pretraining.codec import CodecTraining
from parler_assets.sample.pretraining.features import make_features
from parler_assets.sample.pretraining.latent import AXES, ENCODED, HOP, RATE
from parler_assets.sample.pretraining.loop import Schedule
from parler_assets.sample.pretraining.oscillators import place_oscillators
from tests.support.vowel import vowel

CLIPS = 6


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return make_features(tmp_path_factory.mktemp("features") / "features.safetensors", CLIPS, 3)


def test_features_are_the_clips_and_their_analysis(features, tmp_path):
    assert len(features) == CLIPS
    assert len(features.sound) == features.ends[-1] * HOP
    first, last = features.span(2)
    found = analyse(features.samples(first, last))
    np.testing.assert_allclose(features.latents[first:last], features.axes.latents(found), atol=1e-5)
    again = make_features(tmp_path / "features.safetensors", 3, 3)  # a clip is the same whatever the count
    assert np.array_equal(again.sound, features.sound[: len(again.sound)])
    assert again.digest != features.digest


def test_pieces_of_a_batch_fit_their_latents_and_stand_in_silence(features):
    sound, wanted = encoder.batch(features, np.random.default_rng(1))
    assert sound.shape[1] == wanted.shape[1] * HOP
    quiet = (wanted.numpy() == features.axes.silence).all(-1)
    assert np.abs(sound.numpy().reshape(*wanted.shape[:2], HOP)[quiet]).max(initial=0) == 0
    for left, right in zip(encoder.batch(features, np.random.default_rng(1)), (sound, wanted), strict=True):
        assert torch.equal(left, right)


def test_encoder_and_decoder_learn_and_what_was_made_is_not_made_again(features, tmp_path):
    short = Schedule((12,), 1e-3, (0.9, 0.99), keep=12)
    training = CodecTraining(tmp_path, 3, CLIPS, short, short)
    training.__dict__["features"] = features
    before = latent.untrained(3)
    made = training.encoded()
    with torch.no_grad():
        draw = np.random.default_rng(9)
        sound, wanted = encoder.batch(features, draw)
        power = float(features.latents[:, :AXES].var(0).sum())
        losses = [
            float(encoder.distance(one.encoder(sound[:, None]).transpose(1, 2), wanted, power)["loss"])
            for one in (before, made)
        ]
    assert losses[1] < losses[0]
    whole = training.finished()
    assert not torch.equal(whole.decoder.conv2.weight, made.decoder.conv2.weight)
    for name, tensor in made.encoder.state_dict().items():
        assert torch.equal(tensor, whole.encoder.state_dict()[name])
    stamp = (tmp_path / "codec_finished.safetensors").stat().st_mtime_ns
    training.finished()
    assert (tmp_path / "codec_finished.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(("low", "high"), [(75, 90), (120, 100), (180, 230), (300, 260), (350, 420)])
def test_a_vowel_keeps_its_pitch_through_codes(features, low, high):
    """Analysed, quantized, and decoded by oscillators that nothing shapes yet: within a semitone throughout."""
    codec = latent.untrained(3).eval()
    place_codebooks(codec, features.latents[:, :AXES], 3)
    place_oscillators(codec)
    sound = vowel(np.geomspace(low, high, RATE), RATE)
    latents = torch.zeros(1, int(codec.config.hidden_size), RATE // HOP)
    latents[0, :ENCODED] = torch.from_numpy(features.axes.latents(analyse(sound))).T
    with torch.no_grad():
        codec.decoder.conv2.weight.zero_()
        codec.decoder.conv2.weight[0, 0, 3] = 1  # the cosine alone
        copy = codec.decoder(codec.quantizer(latents)[0])[0, 0].numpy()
    real, made = (analyse(samples).f0[3:-3] for samples in (sound, copy))
    assert (made > 0).all()
    assert np.median(np.abs(12 * np.log2(made / real))) < 0.2
    assert (np.abs(12 * np.log2(made / real)) < 1).mean() > 0.95
