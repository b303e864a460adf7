"""The designed codebooks: what is written is what is read, and DAC's own quantizer does both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parler_assets.sample.pretraining import latent
from parler_assets.sample.pretraining.codebooks import code_of, place_codebooks
from parler_assets.sample.pretraining.latent import AXES, ENCODED, LEVELS, PHASES


@pytest.fixture(scope="module")
def codec():
    codec = latent.untrained(1)
    place_codebooks(codec, envelopes(3000), 1)
    return codec.eval()


def envelopes(count: int) -> np.ndarray:
    """Points whose axes matter less and less, as principal axes do."""
    return (np.random.default_rng(2).normal(size=(count, AXES)) * 4 / (1 + np.arange(AXES))).astype(np.float32)


def quantized(codec, latents: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (channels, T) and codes (K, T) of what an encoder wrote, (T, ENCODED)."""
    full = torch.zeros(1, int(codec.config.hidden_size), len(latents))
    full[0, :ENCODED] = torch.from_numpy(latents).T
    with torch.no_grad():
        found, codes = codec.quantizer(full)[:2]
    return found[0], codes[0]


def voices(voiced, f0, phase) -> np.ndarray:
    envelope = np.zeros((len(f0), AXES), np.float32)
    return np.concatenate([envelope, latent.voice_channels(np.asarray(voiced), np.asarray(f0), np.asarray(phase))], 1)


def test_the_nearest_entry_to_a_level_and_a_phase_is_that_one(codec):
    f0, phase = LEVELS.repeat(PHASES), np.tile(np.arange(PHASES) / PHASES, len(LEVELS))
    found, codes = quantized(codec, voices(np.ones(len(f0), bool), f0, phase))
    assert codes[-1].tolist() == list(range(1, len(f0) + 1))
    assert codes[-1][code_of(3, 7) - 1] == code_of(3, 7)
    np.testing.assert_allclose(found[latent.HERTZ] * 100, f0, atol=0.05)
    half = found[latent.HALF_PHASE].numpy() / np.pi  # cycles
    np.testing.assert_allclose(half - phase, np.round(half - phase), atol=1e-4)
    np.testing.assert_allclose(found[latent.VOICED], 1, atol=1e-4)


@pytest.mark.parametrize("size", [0.5, 0.8, 1.0])
def test_any_voice_gets_the_nearest_level_and_phase_and_nothing_else_gets_the_spare_entries(codec, size):
    draw = np.random.default_rng(3)
    f0, phase = draw.uniform(60, 450, 4000), draw.uniform(-0.5, 0.5, 4000)
    latents = voices(np.ones(4000, bool), f0, phase) * np.float32(size)  # a timid encoder writes less
    _, codes = quantized(codec, latents)
    level, step = np.divmod(codes[-1].numpy() - 1, PHASES)
    nearest = np.abs(latent.angle_of(f0)[:, None] - latent.angle_of(LEVELS)).argmin(1)
    assert (level == nearest).mean() > 0.999
    apart = step / PHASES - phase
    assert np.abs(apart - np.round(apart)).max() < 0.5 / PHASES + 1e-3


def test_a_frame_without_voice_is_entry_0(codec):
    found, codes = quantized(codec, voices(np.zeros(5, bool), np.full(5, 100.0), np.zeros(5)))
    assert codes[-1].tolist() == [0] * 5
    np.testing.assert_allclose(found[latent.VOICED], -1, atol=1e-4)
    np.testing.assert_allclose(found[[latent.HERTZ, latent.HALF_PHASE]], 0, atol=1e-4)


def test_three_codebooks_keep_an_envelope_and_each_leaves_less(codec):
    wanted = np.concatenate(
        [envelopes(500), latent.voice_channels(np.zeros(500, bool), np.ones(500), np.zeros(500))], 1
    )
    found, codes = quantized(codec, wanted)
    power = wanted[:, :AXES].var(0).sum()
    left = [
        np.square(codec.quantizer.from_codes(codes[None, :k])[0][0, :AXES].T.detach().numpy() - wanted[:, :AXES])
        .sum(1).mean() / power
        for k in (1, 2, 3)
    ]  # fmt: skip
    assert left == sorted(left, reverse=True)
    assert left[2] < 0.35
    np.testing.assert_allclose(
        found[:AXES].T, codec.quantizer.from_codes(codes[None])[0][0, :AXES].T.detach(), atol=1e-4
    )


def test_half_precision_moves_no_code(codec):
    draw = np.random.default_rng(4)
    latents = voices(draw.random(2000) < 0.7, draw.uniform(60, 450, 2000), draw.uniform(-0.5, 0.5, 2000))
    _, before = quantized(codec, latents)
    rounded = latent.untrained(1).eval()
    rounded.load_state_dict({name: tensor.half().float() for name, tensor in codec.state_dict().items()})
    _, after = quantized(rounded, latents)
    assert (before[-1] == after[-1]).float().mean() > 0.995


@pytest.mark.parametrize("f0", [65.0, 70.5, 123.4, 250.0, 430.0])
def test_the_arc_of_pitches_is_read_back(f0):
    assert latent.f0_of(latent.angle_of(f0)) == pytest.approx(f0)
