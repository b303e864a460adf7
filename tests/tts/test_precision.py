"""The precision of speaking: what the machine has, unless somebody decides; never the codec's."""

from __future__ import annotations

import logging

import pytest
import torch

from parler_assets.recipe import Evaluation, digest
from parler_assets.speech.precision import CODEC_DTYPE, SETTING, has_bfloat16, inference_dtype
from parler_assets.tts.synthesis.voice import Voice
from tests.support.tiny_checkpoint import write_tiny_checkpoint


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)


def with_flags(monkeypatch, *flags: str) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: dict.fromkeys(("avx2", *flags), True))


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [((), torch.float32), (("avx512_f",), torch.float32), (("avx512_bf16",), torch.bfloat16),
     (("amx_bf16",), torch.bfloat16), (("bf16",), torch.bfloat16)],
)  # fmt: skip
def test_a_cpu_decides_by_what_it_has(monkeypatch, caplog, flags, dtype):
    with_flags(monkeypatch, *flags)
    with caplog.at_level(logging.INFO):
        assert inference_dtype("cpu") is dtype
    assert str(dtype).removeprefix("torch.") in caplog.text


@pytest.mark.parametrize("supported", [True, False])
def test_a_card_decides_by_what_it_has(monkeypatch, supported):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "a card")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: supported)
    assert inference_dtype("cuda:0") is (torch.bfloat16 if supported else torch.float32)


def test_a_setting_decides_before_the_environment_and_that_before_the_machine(monkeypatch):
    with_flags(monkeypatch)
    monkeypatch.setenv(SETTING, "bfloat16")
    assert inference_dtype("cpu") is torch.bfloat16
    assert inference_dtype("cpu", "float32") is torch.float32
    monkeypatch.setenv(SETTING, "half")
    with pytest.raises(ValueError, match=f"'half' .as {SETTING} says.: it must be auto, float32 or bfloat16"):
        inference_dtype("cpu")


def test_this_machine_is_known():
    has, why = has_bfloat16("cpu")
    assert isinstance(has, bool)
    assert why


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_voice_speaks_in_it_and_its_codec_does_not(tmp_path, precision, dtype):
    voice = Voice(write_tiny_checkpoint(tmp_path), precision=precision)
    dtypes = {name: {p.dtype for p in part.parameters()} for name, part in voice.model.named_children()}
    assert dtypes.pop("audio_encoder") == {CODEC_DTYPE}
    assert set.union(*dtypes.values()) == {dtype}
    settings = Evaluation(speakers=["Jerry"], styles=["default"], max_seconds=0.3)
    (spoken,) = voice.speak(["Hello there."], ["Jerry speaks."], settings, seed=1)
    assert spoken.samples.dtype == "float32"


def test_samples_made_before_it_could_be_set_stay():
    settings = Evaluation(speakers=["Jerry"], styles=["default"])
    assert "precision" not in settings.speaking
    assert digest(settings.model_copy(update={"precision": "float32"})) != digest(settings)
