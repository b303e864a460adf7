"""Recordings made of a synthesized voice: what was asked for is what can be measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("parselmouth", reason="praat-parselmouth (extra `sample`) is not installed")

from parler_assets.sample.espeak import RATE
from parler_assets.sample.pretraining.analysis import analyse
from parler_assets.sample.pretraining.latent import RATE as HEARD
from parler_assets.sample.pretraining.processing import Recording
from parler_assets.speech.audio import resample
from tests.support.vowel import vowel

PLAIN = Recording(
    formants=1.0, pitch=130.0, pitch_range=1.0, breath=60, tilt=0, ripple=0, c50=None, snr=60, level=0.1
)  # fmt: skip


@pytest.fixture(scope="module")
def voice():
    return vowel(130 + 20 * np.sin(np.arange(RATE) / RATE * 9), RATE)


def heard(recording: Recording, voice: np.ndarray) -> np.ndarray:
    return recording.of(voice, np.random.default_rng(1))


def pitch(samples: np.ndarray) -> np.ndarray:
    found = analyse(resample(samples, RATE, HEARD))
    return found.f0[found.voiced]


@pytest.mark.parametrize("wanted", [90.0, 130.0, 200.0, 280.0])
def test_the_pitch_is_moved(voice, wanted):
    assert np.median(pitch(heard(replace(PLAIN, pitch=wanted), voice))) == pytest.approx(wanted, rel=0.04)


def test_the_range_is_moved(voice):
    narrow, wide = (np.std(np.log(pitch(heard(replace(PLAIN, pitch_range=r), voice)))) for r in (0.5, 1.8))
    assert wide > 2 * narrow


def test_formants_move_and_the_pitch_stays(voice):
    centre = {}
    for factor in (0.85, 1.2):
        made = heard(replace(PLAIN, formants=factor, pitch=130.0), voice)
        power = np.abs(np.fft.rfft(made)) ** 2
        hertz = np.fft.rfftfreq(len(made), 1 / RATE)
        near = (hertz > 1900) & (hertz < 3600)  # around the third formant
        centre[factor] = (hertz * power)[near].sum() / power[near].sum()
        assert np.median(pitch(made)) == pytest.approx(130, rel=0.04)
    assert centre[1.2] > 1.1 * centre[0.85]


@pytest.mark.parametrize("level", [0.013, 0.05, 0.15])
def test_the_loudness_is_the_one_asked_for(voice, level):
    made = heard(replace(PLAIN, level=level), voice)
    assert np.sqrt(np.mean(made**2)) == pytest.approx(level, rel=0.05)


def test_noise_breath_room_and_microphone_change_the_sound(voice):
    plain = heard(PLAIN, voice)
    for change in ({"breath": 8}, {"snr": 15}, {"tilt": 8}, {"ripple": 5}, {"c50": 8.0}):
        made = heard(replace(PLAIN, **change), voice)
        assert np.isfinite(made).all()
        assert np.abs(made[: len(plain)] - plain).max() > 0.02, change
    assert len(heard(replace(PLAIN, c50=8.0), voice)) > len(plain)


@pytest.mark.parametrize("samples", [np.zeros(RATE // 2), np.random.default_rng(2).normal(0, 0.01, RATE // 2)])
def test_what_has_no_voice_is_recorded_too(samples):
    assert np.isfinite(heard(Recording.drawn(np.random.default_rng(3), True), samples.astype(np.float32))).all()
