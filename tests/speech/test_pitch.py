"""Pitch trackers follow a pitch that is known, and ours is penn where penn's weights are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from parler_assets.hub.errors import AnnotatorError
from parler_assets.recipe import Annotation
from parler_assets.speech.annotation import penn
from parler_assets.speech.annotation.networks import fcnf0, fcnf0_cpu, spectral
from parler_assets.speech.annotation.penn import Penn, interpolated, viterbi_path
from parler_assets.speech.annotation.praat import Praat, summary
from parler_assets.speech.audio import Clip
from tests.support.golden_weights import fill, sound, wandering

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "penn.npz")
SECONDS = (0.0625, 0.5, 1.2345)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save({"model": fill(fcnf0.Fcnf0(), 7, {"6.weight": 1.07}).state_dict()}, folder / "fcnf0++.pt")
    return folder


@pytest.fixture
def tracker(weights, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    return Penn()


def clips() -> list[Clip]:
    return [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]


# ---------------------------------------------------------------------------------------------------------------- penn


def test_tracks_are_penns(tracker):
    """Recorded from penn 0.0.14 with the same random weights, clip by clip; here three clips share their batches."""
    for seconds, track in zip(SECONDS, tracker.tracks(clips()), strict=True):
        assert track.shape == GOLDEN[f"pitch_{seconds}"].shape
        np.testing.assert_allclose(track, GOLDEN[f"pitch_{seconds}"], rtol=1e-5)


def test_one_hundred_frames_a_second():
    signal, starts, lengths = penn.flat_frames([Clip(np.zeros(16000, np.float32), 16000)])
    assert (lengths, len(starts)) == ([100], 100)
    assert len(signal) >= int(starts[-1]) + penn.WINDOW


def test_company_in_a_batch_changes_nothing(tracker):
    alone = [tracker.tracks([clip])[0] for clip in clips()]
    for one, together in zip(alone, tracker.tracks(clips()), strict=True):
        np.testing.assert_allclose(one, together, rtol=1e-5)


def test_small_batches_give_the_same(weights, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    whole, cut = Penn()(clips()), Penn(settings=Annotation(batch_seconds=0.1))(clips())
    assert [pitch.mean for pitch in cut] == pytest.approx([pitch.mean for pitch in whole], rel=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(("length", "size"), [(97, 100), (130, 256)])
def test_spectral_convolution_is_the_direct_one(length, size):
    """With few and many samples to transform back."""
    generator = torch.Generator().manual_seed(0)
    signal, kernels = (torch.randn(*shape, generator=generator) for shape in ((3, 8, length), (4, 8, 32)))
    found = spectral.SpectralKernels(kernels, size)(signal)
    torch.testing.assert_close(found, torch.nn.functional.conv1d(signal, kernels), atol=1e-4, rtol=1e-5)


@torch.inference_mode()
def test_logits_on_a_cpu_are_those_of_the_layers_in_turn(tracker):
    """With norms that are not the identity, for frames at even distances and others."""
    generator = torch.Generator().manual_seed(1)
    network = fill(fcnf0.Fcnf0(), 7)
    for value in network.parameters():
        if value.ndim == 2:
            value.add_(0.3 * torch.randn(value.shape, generator=generator))
    signal, ready = torch.from_numpy(sound(1.0, 8000)), fcnf0_cpu.OnCpu(network)
    for starts in (torch.arange(0, 5600, 80), torch.tensor([0, 80, 160, 2000, 2002]), torch.tensor([320])):
        torch.testing.assert_close(ready.logits(signal, starts), network.logits(signal, starts), atol=2e-5, rtol=1e-4)


def test_fast_mode_looks_at_every_fourth_frame(weights, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    exact, fast = Penn(), Penn(fast=True)
    clip = clips()[2]
    with torch.inference_mode():
        every, some = (torch.cat(list(p.logits(*penn.flat_frames([clip], p.hop)[:2]))) for p in (exact, fast))
    torch.testing.assert_close(some, every[: 4 * len(some) : 4], atol=1e-4, rtol=1e-4)
    assert fast([clip])[0].mean == pytest.approx(exact([clip])[0].mean, rel=0.2)


def test_unvoiced_frames_are_interpolated_in_log_frequency():
    pitch = np.array([50.0, 100.0, 70.0, 400.0, 60.0])
    track = interpolated(pitch, np.array([0.0, 0.1, 0.065, 0.1, 0.0]))
    assert track == pytest.approx([100, 100, 200, 400, 400])
    assert (interpolated(pitch, np.zeros(5)) == pitch).all(), "no voiced frame: kept as it is"


def test_a_single_voiced_frame_has_no_deviation():
    """As in the published rows: the whole clip takes its pitch."""
    track = interpolated(np.array([58.0, 300.0, 40.0]), np.array([0.5, 0.0, 0.0]))
    assert penn.summary(track).std == 0.0
    assert penn.summary(track[:1]).std is None


def test_viterbi_finds_the_most_probable_path():
    """Against every path through a few bins, scored by definition."""
    generator = torch.Generator().manual_seed(4)
    posteriors = torch.full((4, fcnf0.BINS), -50.0)
    bins = [10, 60, 100, 180]
    posteriors[:, bins] = torch.randn(4, 4, generator=generator)
    path = viterbi_path(posteriors)
    distance = (torch.arange(fcnf0.BINS)[:, None] - torch.arange(fcnf0.BINS)).abs()
    steps = (penn.STEEPEST - distance).clamp(min=0)
    steps = torch.log(steps / steps.sum(1, keepdim=True))

    def score(candidate: list[int]) -> float:
        moves = sum(steps[a, b] for a, b in itertools.pairwise(candidate))
        return float(sum(posteriors[t, b] for t, b in enumerate(candidate)) + moves)

    every = [[a, b, c, d] for a in bins for b in bins for c in bins for d in bins]
    assert path.tolist() == max(every, key=score)


def test_viterbi_is_the_reference_of_penns_decoder():
    """Recorded from librosa's, torbi's stated reference, with penn 1.0's transitions (benchmarks/parity_viterbi.py)."""
    golden = np.load(Path(__file__).parents[1] / "golden" / "viterbi.npz")
    for seed in range(3):
        logits = wandering(seed)
        path = viterbi_path(torch.log_softmax(logits, 1)).numpy()
        assert (path == golden[f"path_{seed}"]).all()
        assert (path != logits.argmax(1).numpy()).any(), "the most probable bins are another path"


def test_viterbi_is_an_annotator_of_its_own(weights, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    found = Penn(viterbi=True)(clips()[:2])
    assert all(31 < pitch.mean < 1000 for pitch in found)


@pytest.mark.parametrize("content", [{"model": {"0.weight": torch.zeros(1)}}, torch.zeros(3), {}])
def test_other_weights_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "fcnf0++.pt")
    with pytest.raises(AnnotatorError, match="not the weights of FCNF0"):
        fcnf0.load(tmp_path / "fcnf0++.pt", "cpu")


# --------------------------------------------------------------------------------------------------------------- Praat


def hum(pitch: np.ndarray, rate: int = 16000) -> Clip:
    """A buzzing voice with a given pitch at every sample (N,)."""
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    return Clip((0.1 * sum(np.sin(k * phase) / k for k in range(1, 9))).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("hertz", [90.0, 150.0, 280.0])
def test_praat_hears_the_pitch(hertz, rate):
    found = Praat().measure(hum(np.full(rate, hertz), rate))
    assert found.mean == pytest.approx(hertz, rel=0.01)
    assert found.std < 2


def test_praat_follows_how_lively_a_melody_is():
    time = np.arange(32000) / 16000
    truth = [2.0, 8.0, 15.0, 30.0]
    tracks = [Praat().measure(hum(160 + swing * np.sqrt(2) * np.sin(2 * np.pi * 1.5 * time))) for swing in truth]
    assert [pitch.std for pitch in tracks] == pytest.approx(truth, rel=0.15)


def test_octave_jumps_do_not_count():
    track = np.concatenate([np.full(50, 120.0) + np.arange(50) % 3, [60.0, 61.0, 240.0, 480.0], np.zeros(20)])
    assert summary(track).std < 2


def test_noise_has_no_pitch():
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 0.1
    found = Praat().measure(Clip(noise, 16000))
    assert (found.mean, found.std) == (None, None)
    assert "no voiced speech" in found.reason
