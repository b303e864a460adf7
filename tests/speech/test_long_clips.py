"""Clips of an hour, and rates with nothing in common: annotators work in stretches, and their numbers are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parler_assets.speech.annotation import classical, penn, sinc
from parler_assets.speech.annotation.networks import fcnf0
from parler_assets.speech.annotation.penn import Penn
from parler_assets.speech.audio import Clip
from tests.support.bounded import outcome
from tests.support.golden_weights import fill, sound

RATES = [(44100, 16000), (48000, 16000), (22050, 16000), (11025, 16000), (16000, 8000), (8000, 16000), (384000, 16000)]


def direct(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Every sample as the sum that defines it."""
    cutoff = min(source, target) * sinc.ROLLOFF
    made = np.arange(-(-len(samples) * target // source)) / target
    time = np.clip((np.arange(len(samples)) / source - made[:, None]) * cutoff, -sinc.CROSSINGS, sinc.CROSSINGS)
    weights = np.sinc(time) * np.cos(time * np.pi / sinc.CROSSINGS / 2) ** 2 * cutoff / source
    return weights @ samples


@pytest.mark.parametrize(("source", "target"), [*RATES, (44101, 16000), (383999, 16000), (4001, 16000)])
@pytest.mark.parametrize("length", [1, 997])
def test_sinc_is_what_defines_it_at_any_rate(source: int, target: int, length: int):
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    np.testing.assert_allclose(sinc.resample(samples, source, target), direct(samples, source, target), atol=2e-5)


@pytest.mark.parametrize(("source", "target"), [*RATES, (44101, 16000)])
def test_stretches_change_nothing(source: int, target: int, monkeypatch: pytest.MonkeyPatch):
    samples = np.random.default_rng(0).normal(0, 0.1, 3001).astype(np.float32)
    whole = sinc.resample(samples, source, target)
    monkeypatch.setattr(sinc, "STRETCH", 700)
    monkeypatch.setattr(sinc, "GATHERED", 7000)
    np.testing.assert_allclose(sinc.resample(samples, source, target), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [44101, 44099, 48001, 22051, 383999])
def test_a_rate_that_shares_no_factor_costs_no_table_of_phases(rate: int):
    """16,000 phases of 44,000 taps were 5.6 GB for each of their three arrays."""
    kind, said = outcome(lambda: sinc.resample(np.zeros(2 * rate, np.float32), rate, 16000).shape)
    assert (kind, said) == ("read", "(32000,)")


def test_spectra_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    samples = sound(3.0)
    whole, room = classical.power_spectra(samples), classical.room(samples)
    monkeypatch.setattr(classical, "AT_ONCE", 7)
    np.testing.assert_array_equal(classical.power_spectra(samples), whole)
    assert classical.room(samples) == room


def test_viterbi_in_stretches_is_that_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save({"model": fill(fcnf0.Fcnf0(), 3).state_dict()}, tmp_path / "fcnf0++.pt")
    monkeypatch.setenv("PARLER_WEIGHTS", str(tmp_path))
    tracker, clips = Penn(viterbi=True), [Clip(sound(seconds), 16000) for seconds in (0.7, 0.2)]
    whole = tracker.tracks(clips)
    monkeypatch.setattr(penn, "STRETCH", 40)
    monkeypatch.setattr(penn, "AROUND_IT", 15)
    for one, other in zip(tracker.tracks(clips), whole, strict=True):
        assert one.shape == other.shape
        assert np.isclose(one, other, rtol=1e-3).mean() > 0.95
