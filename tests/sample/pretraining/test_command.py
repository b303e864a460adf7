"""The command that made the shipped base still makes one, and goes on where it was killed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra `sample`) is not installed")
pytest.importorskip("parselmouth", reason="praat-parselmouth (extra `sample`) is not installed")

from parler_assets.sample.pretraining.__main__ import Pretraining
from parler_assets.sample.pretraining.codec import CodecTraining
from parler_assets.sample.pretraining.loop import Schedule
from parler_assets.sample.pretraining.speech import TRAINING, SpeechTraining
from parler_assets.tts.base import validate_base

SHORT = Schedule((2,), 1e-3, (0.9, 0.99))


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    training = TRAINING.model_copy(update={"max_steps": 2, "evaluate_every": 2, "save_every": 2})
    codec = CodecTraining(folder / "codec", 7, 6, SHORT, SHORT)
    made = Pretraining(folder, codec, SpeechTraining(folder, 7, 60, training))
    made.run()
    return made


def test_every_step_of_it_makes_a_base_in_16_bits(pretraining):
    made = pretraining.folder / "base"
    validate_base(made)
    trained = load_file(made / "model.safetensors")
    assert {tensor.dtype for tensor in trained.values()} == {torch.float16}
    codec = load_file(pretraining.folder / "codec" / "codec_finished.safetensors")
    for name in ("decoder.conv2.weight", "encoder.conv1.weight", "quantizer.quantizers.3.codebook.weight"):
        assert torch.equal(trained[f"audio_encoder.{name}"], codec[name].half())


def test_it_says_what_it_was_made_from(pretraining):
    told = json.loads((pretraining.folder / "base" / "provenance.json").read_text())
    assert told["training"]["updates"] == 2
    assert told["codec_updates"] == {"encoder": 2, "decoder": 2}
    assert told["codec_clips_sha256"] == pretraining.codec.features.digest
    assert len(told["clips_digest"]) >= 16


def test_what_is_done_is_not_done_again(pretraining):
    kept = {
        path: path.stat().st_mtime_ns for path in pretraining.folder.rglob("*.safetensors") if "base" not in path.parts
    }
    weights = (pretraining.folder / "base" / "model.safetensors").read_bytes()
    pretraining.run()
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert (pretraining.folder / "base" / "model.safetensors").read_bytes() == weights
