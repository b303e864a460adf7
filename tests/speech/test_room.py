"""Noise, rooms and speech: estimators that follow what was mixed in, and Brouhaha as pyannote runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from scipy.stats import spearmanr

from parler_assets.hub.errors import AnnotatorError
from parler_assets.speech.annotation import brouhaha, classical
from parler_assets.speech.annotation.brouhaha import Brouhaha, measured, speaking
from parler_assets.speech.annotation.chunks import Chunks
from parler_assets.speech.annotation.networks import brouhaha as brouhaha_network
from parler_assets.speech.audio import Clip
from tests.support.golden_weights import fill, sound

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "brouhaha.npz")
SECONDS = (0.4, 3.3, 6.0, 7.2, 9.5)
SHARPNESS = {"classifier.linears.vad.weight": -27.0} | {f"classifier.linears.{h}.weight": 30.0 for h in ("snr", "c50")}


class Specification:
    """Stands for the class of pyannote that published checkpoints carry."""

    def __init__(self) -> None:
        self.duration, self.warm_up = 6.0, (0.0, 0.0)


Specification.__module__, Specification.__qualname__ = "pyannote.audio.core.task", "Specification"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint in the published layout, foreign classes included."""
    import sys
    import types

    folder = tmp_path_factory.mktemp("weights")
    network = fill(brouhaha_network.BrouhahaNetwork(), 8, SHARPNESS)
    content = {
        "state_dict": network.state_dict() | {"loss.weight": torch.zeros(2)},
        "pyannote.audio": {"specifications": Specification()},
        "epoch": 3,
    }
    with pytest.MonkeyPatch.context() as patch:
        module = types.ModuleType("pyannote.audio.core.task")
        module.Specification = Specification
        for name in ("pyannote", "pyannote.audio", "pyannote.audio.core"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setitem(sys.modules, "pyannote.audio.core.task", module)
        torch.save(content, folder / "best.ckpt")
    return folder


@pytest.fixture
def assets(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("PARLER_WEIGHTS", str(weights))
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return weights


def clips() -> list[Clip]:
    return [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]


# ------------------------------------------------------------------------------------------------------------ Brouhaha


def test_frames_and_numbers_are_pyannotes(assets):
    """Recorded from pyannote 4.0.7's sliding inference and binariser with the same random weights."""
    for seconds, frames in zip(SECONDS, Brouhaha().frames(clips()), strict=True):
        np.testing.assert_allclose(frames[::20], GOLDEN[f"frames_{seconds}"], atol=2e-3)
        duration, snr, c50, count = GOLDEN[f"numbers_{seconds}"]
        room = measured(frames)
        assert len(frames) == count
        assert room.speech_duration == pytest.approx(duration, abs=1e-3)
        assert (room.snr_b, room.c50_b) == pytest.approx((snr, c50), abs=1e-2)


SIX_SECONDS = Chunks(length=96000, step=9600, frame=270)


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (95999, 1), (96000, 1), (96001, 2), (105600, 2), (105601, 3)])
def test_chunks_cover_a_clip(samples, count):
    assert len(SIX_SECONDS.starts(samples)) == count


def test_geometry_of_chunks_and_frames():
    one = np.ones((352, 3), np.float32)
    assert SIX_SECONDS.overlapped([one], 96000).shape == (357, 3)
    assert (SIX_SECONDS.overlapped([one], 96000)[352:] == 0).all()
    marked = [np.full((352, 3), index, np.float32) for index in range(6)]
    starts = [int(np.rint(index * 0.6 / 0.016875)) for index in range(6)]
    assert starts == [0, 36, 71, 107, 142, 178]
    assert SIX_SECONDS.overlapped(marked, 96000 + 5 * 9600)[0, 0] == 0.0


def test_a_tail_is_repeated_until_it_fills_a_chunk():
    samples = np.arange(96000 + 100, dtype=np.float32)
    *_, tail = SIX_SECONDS.of(samples)
    assert len(tail) == 96000
    assert (tail[: len(samples) - 9600] == samples[9600:]).all()
    assert tail[len(samples) - 9600] == samples[9600]


def test_company_in_a_batch_changes_nothing(assets, monkeypatch):
    whole = Brouhaha()(clips()[:3])
    monkeypatch.setitem(brouhaha.AT_ONCE, "cpu", 2)
    cut = Brouhaha()(clips()[:3])
    assert [room.snr_a for room in cut] == pytest.approx([room.snr_a for room in whole], abs=1e-3)


def test_fast_mode_takes_fewer_chunks(assets):
    fast = Brouhaha(fast=True)
    assert len(fast.chunks.starts(30 * 16000)) < len(Brouhaha().chunks.starts(30 * 16000)) / 4
    assert fast(clips()[:1])[0].snr_a == pytest.approx(Brouhaha()(clips()[:1])[0].snr_a, abs=1e-3), "one chunk alike"


def test_era_b_counts_speech_one_frame_late():
    frames = np.zeros((6, 3), np.float32)
    frames[:, 0] = [0.9, 0.9, 0.1, 0.1, 0.9, 0.9]
    frames[:, 1] = [1, 2, 4, 8, 16, 32]
    frames[:, 2] = 1
    room = measured(frames)
    assert room.speech_duration == pytest.approx(3 * 0.016875), "a segment that is open at the end loses its last frame"
    assert room.snr_b == pytest.approx((2 + 4 + 32) / 3)
    assert room.snr_a == pytest.approx(63 / 6)


def test_frames_that_no_chunk_covered_do_not_count():
    frames = np.array([[0.9, 5, 5], [0.9, 7, 7], [0.9, 0, 0]], np.float32)
    assert measured(frames).snr_b == 7.0
    assert measured(frames).snr_a == 4.0


@pytest.mark.parametrize("count", [1, 40])
def test_without_speech_era_b_is_empty(count):
    room = measured(np.full((count, 3), 0.2, np.float32))
    assert (room.speech_duration, room.snr_b, room.c50_b) == (0.0, None, None)
    assert "no speech" in room.reason


def test_the_threshold_itself_changes_nothing():
    at = np.float32(0.78)
    assert speaking(np.array([at, 0.9, at, 0.1, at], np.float32)).tolist() == [False, True, True, False, False]


def test_the_checkpoint_is_unpickled_once(assets, monkeypatch):
    Brouhaha()
    monkeypatch.setattr(brouhaha_network, "_read_checkpoint", lambda path: pytest.fail("read again"))
    Brouhaha()


@pytest.mark.parametrize("content", [{"weights": 1}, {"state_dict": {"a": torch.zeros(1)}}])
def test_other_checkpoints_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    torch.save(content, tmp_path / "best.ckpt")
    with pytest.raises(AnnotatorError, match="Brouhaha"):
        brouhaha_network.load(tmp_path / "best.ckpt", "cpu")


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    torch.save({"state_dict": {}, "evil": Evil()}, tmp_path / "best.ckpt")
    with pytest.raises(AnnotatorError):
        brouhaha_network.load(tmp_path / "best.ckpt", "cpu")
    assert not marker.exists()


def test_missing_weights_say_where_to_put_them(monkeypatch, tmp_path):
    monkeypatch.setenv("PARLER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AnnotatorError, match="PARLER_WEIGHTS"):
        Brouhaha()


# ----------------------------------------------------------------------------------------------------------- classical


def voiced(seed: int) -> np.ndarray:
    """Syllables of changing pitch and colour with pauses between them, 3 s at 16 kHz."""
    generator = np.random.default_rng(seed)
    pieces = [np.zeros(3000)]
    while sum(map(len, pieces)) < 45000:
        length = int(generator.integers(1600, 4800))
        time = np.arange(length) / 16000
        phase = 2 * np.pi * generator.uniform(100, 220) * time
        colour = generator.uniform(0.3, 1, 14)
        wave = sum(colour[k - 1] * np.sin(k * phase) / k for k in range(1, 15))
        pieces += [0.2 * wave * np.hanning(length), np.zeros(int(generator.integers(400, 2400)))]
    return np.concatenate([*pieces, np.zeros(3000)])


def room_of(samples: np.ndarray) -> brouhaha.Room:
    return classical.room(samples.astype(np.float32))


def test_snr_follows_the_noise():
    generator = np.random.default_rng(0)
    truth, found = [], []
    for index in range(40):
        speech, decibels = voiced(index), 50 * index / 40
        level = np.sqrt(np.mean(speech[speech != 0] ** 2)) / 10 ** (decibels / 20)
        truth.append(decibels)
        found.append(room_of(speech + level * generator.normal(size=len(speech))).snr_a)
    assert spearmanr(truth, found)[0] > 0.95


def test_c50_follows_the_room():
    generator = np.random.default_rng(1)
    truth, found = [], []
    for index in range(40):
        decay = 0.1 + index * 0.03
        time = np.arange(int(1.2 * decay * 16000)) / 16000
        response = generator.normal(size=len(time)) * 10 ** (-3 * time / decay)
        response[0] += np.sqrt((response**2).sum())
        speech = voiced(index)
        wet = fftconvolve(speech, response)[: len(speech)]
        truth.append(10 * np.log10((response[:800] ** 2).sum() / (response[800:] ** 2).sum()))
        found.append(room_of(wet / np.abs(wet).max() + 1e-4 * generator.normal(size=len(wet))).c50_a)
    assert spearmanr(truth, found)[0] > 0.8


def test_speech_duration_leaves_pauses_out():
    speech = voiced(3)
    silence = np.zeros(32000)
    noise = 1e-4 * np.random.default_rng(2).normal(size=len(speech) + 32000)
    short = room_of(speech + noise[: len(speech)]).speech_duration
    long = room_of(np.concatenate([speech, silence]) + noise).speech_duration
    assert long == pytest.approx(short, abs=0.25)
    assert 0.5 < short < len(speech) / 16000


@pytest.mark.parametrize("length", [960, 1000, 3500, 4800, 5000])
@pytest.mark.parametrize("rising", [0.0, 1.0])
def test_very_short_clips_have_numbers(length, rising):
    """Those whose loudest moments all lie at their end too."""
    found = room_of(0.1 * np.sin(np.arange(length) / 10) * np.linspace(1 - rising, 1, length))
    assert np.isfinite([found.snr_a, found.c50_a]).all()


def test_steady_noise_is_not_speech():
    found = room_of(0.1 * np.random.default_rng(0).normal(size=16000))
    assert (found.speech_duration, found.snr_b) == (0.0, None)
