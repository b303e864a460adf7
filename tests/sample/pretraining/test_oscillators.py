"""The decoder's oscillators: a carrier's phase is right at every frame's centre and at every boundary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parler_assets.sample.pretraining import latent
from parler_assets.sample.pretraining.codebooks import code_of, place_codebooks
from parler_assets.sample.pretraining.latent import HOP, LEVELS, PHASES, RATE
from parler_assets.sample.pretraining.oscillators import RESERVED, STEPS, place_oscillators, protect

FRAME = HOP / RATE  # seconds


@pytest.fixture(scope="module")
def codec():
    codec = latent.untrained(1)
    place_codebooks(codec, np.random.default_rng(1).normal(size=(1000, latent.AXES)).astype(np.float32), 1)
    place_oscillators(codec)
    return codec.eval()


def carriers(codec, latents: torch.Tensor) -> np.ndarray:
    """Cosine and sine (2, T * STEPS) at 1600 Hz of quantized latents (channels, T)."""
    seen = {}
    hook = codec.decoder.block[3].snake1.register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    with torch.no_grad():
        codec.decoder(latents[None])
    hook.remove()
    return seen["x"][0, :2].numpy()


def exact(codec, f0: np.ndarray, phase: np.ndarray) -> torch.Tensor:
    """What the decoder would get from codebooks without steps."""
    made = torch.zeros(int(codec.config.hidden_size), len(f0))
    wrapped = phase - np.round(phase)
    values = {
        latent.VOICED: np.ones(len(f0)), latent.HERTZ: f0 / 100, latent.HALF_PHASE: np.pi * wrapped,
        latent.QUANTIZED_COS: np.cos(2 * np.pi * phase), latent.QUANTIZED_SIN: np.sin(2 * np.pi * phase),
    }  # fmt: skip
    for channel, value in values.items():
        made[channel] = torch.from_numpy(value).float()
    return made


@pytest.mark.parametrize(("low", "high"), [(65, 65), (80, 120), (210, 170), (300, 300), (430, 380)])
def test_phase_is_right_all_the_way(codec, low, high):
    f0 = np.linspace(low, high, 24)
    at_centres = np.cumsum(f0) * FRAME  # every frame's f0 is that of the step to its centre
    found = carriers(codec, exact(codec, f0, at_centres))
    moments = (np.arange(24 * STEPS) + 0.5) / STEPS - 0.5  # frames from the first centre
    phase = 2 * np.pi * np.interp(moments, np.arange(24), at_centres)
    inner = slice(2 * STEPS, -2 * STEPS)
    np.testing.assert_allclose(found[0, inner], np.cos(phase)[inner], atol=0.06)
    np.testing.assert_allclose(found[1, inner], np.sin(phase)[inner], atol=0.06)


@pytest.mark.parametrize("f0", [72.0, 111.0, 163.0, 237.0, 340.0])
def test_from_codes_the_phase_is_right_at_boundaries_within_the_steps_of_the_codebook(codec, f0):
    frames = 40
    phase = np.arange(frames) * f0 * FRAME
    level = int(np.abs(LEVELS - f0).argmin())
    codes = torch.zeros(1, 4, frames, dtype=torch.long)
    codes[0, -1] = torch.tensor([code_of(level, round((p % 1) * PHASES) % PHASES) for p in phase])
    found = carriers(codec, codec.quantizer.from_codes(codes)[0][0].detach())
    heard = np.unwrap(np.angle(found[0] + 1j * found[1]))
    boundaries = np.arange(2, frames - 2) * STEPS  # moments between two centres
    told = (heard[boundaries - 1] + heard[boundaries]) / 2 / (2 * np.pi)
    apart = told - (boundaries / STEPS - 0.5) * f0 * FRAME
    assert np.abs(apart - np.round(apart)).max() < 0.5 / PHASES + 0.02
    # the steps do not add up: the pitch of the whole is the one that the phases tell
    cycles = (heard[-2 * STEPS] - heard[2 * STEPS]) / (2 * np.pi)
    assert cycles / ((frames - 4) * FRAME) == pytest.approx(f0, rel=0.01)


def test_training_leaves_the_carriers_alone(codec):
    other = latent.untrained(1)
    other.load_state_dict(codec.state_dict())
    protect(other)
    adam = torch.optim.Adam(other.decoder.parameters(), 0.01)
    torch.manual_seed(0)
    for _ in range(2):
        adam.zero_grad()
        other.decoder(torch.randn(2, int(codec.config.hidden_size), 6)).square().mean().backward()
        adam.step()
    latents = exact(codec, np.full(12, 140.0), np.arange(12) * 140 * FRAME)
    np.testing.assert_array_equal(carriers(other, latents), carriers(codec, latents))
    assert not torch.equal(other.decoder.conv1.weight[RESERVED[0] :], codec.decoder.conv1.weight[RESERVED[0] :])
