"""Where the training of the sample's codec starts, and what it listens for."""

from __future__ import annotations

import pytest
import torch
from transformers import DacConfig

from parler_assets.sample.codec_losses import LowBand, MelDistance
from parler_assets.sample.codec_start import level_latents, place_codebooks, place_transform, scale_weights
from parler_assets.speech.dac import build_dac

RATE = 16_000
SMALL = DacConfig(
    encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=[20, 5, 2], n_codebooks=3, codebook_size=32,
    codebook_dim=4, sampling_rate=RATE,
)  # fmt: skip


def voice(pitch: float, delay: float = 0.0, seconds: float = 0.5) -> torch.Tensor:
    """Harmonics of `pitch` Hz, `delay` seconds late: (1, N)."""
    time = torch.arange(int(seconds * RATE)) / RATE - delay
    return 0.05 * sum(torch.sin(2 * torch.pi * pitch * harmonic * time) for harmonic in range(1, 20))[None]


@pytest.fixture
def voices() -> torch.Tensor:
    """Segments (B, N) of harmonic sounds at random pitches."""
    torch.manual_seed(0)
    return torch.cat([voice(float(pitch)) for pitch in torch.empty(48).uniform_(80, 260)])


@pytest.fixture
def codec(voices):
    torch.manual_seed(0)
    codec = build_dac(SMALL)
    place_transform(codec, voices[:40])
    return codec.eval()


@torch.no_grad()
def passed(codec, sounds):
    return codec.decoder(codec.encoder(sounds[:, None]))[:, 0]


def likeness(codec, sounds) -> float:
    """Correlation of what passes the codec, without codebooks, with what went in."""
    made = passed(codec, sounds)
    return float(torch.corrcoef(torch.stack([made.flatten(), sounds[:, : made.shape[1]].flatten()]))[0, 1])


def test_phase_is_heard_by_the_low_band_alone():
    """A twelfth of a pitch period late sounds the same, but codes of steady pitch must say it: see `LowBand`."""
    low, mel, real = LowBand(RATE), MelDistance(RATE), voice(100)
    late, higher = voice(100, delay=0.0008), voice(120)
    assert float(low(real, real)) < 0.01
    assert float(low(late, real)) > 0.9
    assert float(mel(late, real)) < 0.4 * float(mel(higher, real))


def test_the_transform_keeps_sound_before_any_training(codec, voices):
    drawn = build_dac(SMALL)
    scale_weights(drawn)
    assert likeness(codec, voices[40:]) > abs(likeness(drawn.eval(), voices[40:])) + 0.2


def test_levelled_latents_sound_the_same(codec, voices):
    before = passed(codec, voices[:4])
    with torch.no_grad():
        latents = codec.encoder(voices[:4, None]).transpose(1, 2).flatten(0, 1)
        levelled = level_latents(codec, latents, 0.5)
        again = codec.encoder(voices[:4, None]).transpose(1, 2).flatten(0, 1)
    assert float(levelled.square().mean().sqrt()) == pytest.approx(0.5, rel=1e-5)
    torch.testing.assert_close(again, levelled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(passed(codec, voices[:4]), before, rtol=1e-3, atol=1e-5)


def test_every_codebook_leaves_less_of_what_it_is_given(codec, voices):
    with torch.no_grad():
        hidden = codec.encoder(voices[:, None])
        place_codebooks(codec, hidden.transpose(1, 2).flatten(0, 1), seed=0)
        centred = hidden - hidden.mean((0, 2), keepdim=True)
        left = [float((hidden - codec.quantizer(hidden, n_quantizers=count)[0]).square().mean()) for count in (1, 2, 3)]
    assert float(centred.square().mean()) > left[0] > left[1] > left[2]
