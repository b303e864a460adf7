"""The analysis against voices whose pitch and phase are known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("parselmouth", reason="praat-parselmouth (extra `sample`) is not installed")

from parler_assets.sample.pretraining.analysis import BANDS, analyse
from parler_assets.sample.pretraining.latent import HOP, RATE
from tests.support.vowel import vowel


def glide(low: float, high: float, seconds: float = 1.0) -> np.ndarray:
    return np.geomspace(low, high, int(seconds * RATE))


@pytest.mark.parametrize(("low", "high"), [(75, 75), (90, 130), (150, 110), (220, 220), (200, 300), (380, 340)])
def test_pitch_and_phase_of_a_vowel_are_found(low, high):
    f0 = glide(low, high)
    found = analyse(vowel(f0, RATE))
    inner = slice(3, -3)
    assert found.voiced[inner].all()
    centres = np.arange(len(found.f0)) * HOP + HOP // 2
    # the f0 is that of the step from the centre before
    wanted = [f0[max(centre - HOP, 0) : centre].mean() for centre in centres]
    assert np.abs(found.f0 - wanted)[inner].max() < 0.02 * max(low, high)
    apart = found.phase - np.cumsum(f0)[centres] / RATE
    assert np.abs(apart - np.round(apart))[inner].max() < 0.03


@pytest.mark.parametrize("f0", [80, 130, 240, 400])
def test_the_envelope_holds_no_harmonics(f0):
    """Neighbouring bands of one vowel differ as the formants do, whatever the pitch."""
    reference = analyse(vowel(glide(100, 100), RATE)).envelope[5:-5].mean(0)
    found = analyse(vowel(glide(f0, f0), RATE)).envelope[5:-5].mean(0)
    apart = found - reference
    rough = np.abs(np.diff(apart.reshape(2, BANDS), n=2)[:, 6:]).mean()  # below, a band is narrower than a harmonic
    assert rough < 0.35


@pytest.mark.parametrize("samples", [0, 1, HOP - 1, HOP, HOP + 1, 10 * HOP + 7])
def test_every_length_has_its_frames(samples):
    noise = np.random.default_rng(1).normal(0, 0.01, samples)
    found = analyse(noise)
    assert len(found.voiced) == len(found.f0) == len(found.phase) == len(found.envelope) == -(-samples // HOP)
    assert np.isfinite(found.envelope).all()


def test_noise_and_silence_have_no_pitch():
    for sound in (np.zeros(RATE), np.random.default_rng(1).normal(0, 0.05, RATE)):
        found = analyse(sound)
        assert found.voiced.mean() < 0.1
        assert (found.f0[~found.voiced] == 0).all()
