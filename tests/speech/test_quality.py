"""SQUIM's scores as torchaudio gives them, and resampling with torchaudio's filter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parler_assets.hub.errors import AnnotatorError
from parler_assets.speech.annotation import sinc
from parler_assets.speech.annotation.networks import squim as squim_network
from parler_assets.speech.annotation.squim import LONGEST, Squim
from parler_assets.speech.audio import Clip
from tests.support.golden_weights import fill, sound

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "squim.npz")
SECONDS = (0.1, 1.0, 1.0, 2.345)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    network = fill(squim_network.SquimNetwork(), 9)
    torch.save(network.state_dict(), folder / "squim_objective_dns2020.pth")
    return folder


def test_scores_are_torchaudios(weights, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    clips = [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]
    found = [[q.stoi, q.pesq, q.si_sdr] for q in Squim()(clips)]
    np.testing.assert_allclose(found, GOLDEN["scores"][: len(SECONDS)], rtol=1e-4)


def test_only_equal_lengths_share_a_batch_and_only_15_seconds_count(monkeypatch, weights):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    estimator, seen = Squim(batch_seconds=40), []
    monkeypatch.setattr(estimator, "_scores", lambda waves: seen.append(waves.shape) or np.zeros((len(waves), 3)))
    lengths = [1000, 2000, 1000, LONGEST + 1, LONGEST * 3, LONGEST]
    assert len(estimator([Clip(np.ones(length, np.float32), 16000) for length in lengths])) == 6
    assert sorted(seen) == [(1, 2000), (1, LONGEST), (2, 1000), (2, LONGEST)]


def test_missing_weights_say_where_to_put_them(monkeypatch):
    monkeypatch.delenv("PARLER_WEIGHTS", raising=False)
    with pytest.raises(AnnotatorError, match="PARLER_WEIGHTS"):
        Squim()


def test_other_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "squim_objective_dns2020.pth")
    with pytest.raises(AnnotatorError, match="not the weights of SQUIM"):
        squim_network.load(tmp_path / "squim_objective_dns2020.pth", "cpu")


@pytest.mark.parametrize(
    ("source", "target"), [(48000, 16000), (44100, 16000), (22050, 16000), (16000, 8000), (8000, 16000)]
)
def test_resampling_is_torchaudios(source, target):
    found = sinc.resample(sound(0.3, source, seed=1), source, target)
    np.testing.assert_allclose(found[::50], GOLDEN[f"resampled_{source}_{target}"], atol=1e-5)
