"""Compiled layers on a CPU: the same numbers as the layers in torch, and none where they cannot be made."""

from __future__ import annotations

import logging

import pytest
import torch
from torch.nn.functional import linear
from torch.testing import assert_close
from transformers import DacConfig

from parler_assets.speech.codec.dac import build_dac
from parler_assets.speech.codec.native import compiled
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.generation.decoder import InferenceDecoder
from parler_assets.tts.model import native
from tests.support.tiny_checkpoint import tiny_config

needs_compiler = pytest.mark.skipif(native.library() is None, reason="needs g++")


@needs_compiler
@pytest.mark.parametrize("rows", [1, 3, 8, 13])
@pytest.mark.parametrize(("out", "width"), [(64, 32), (132, 7), (5, 160)])
def test_a_product_of_any_shape(rows, out, width):
    generator = torch.Generator().manual_seed(rows)
    x, weight = (torch.randn(*shape, generator=generator) for shape in ((2, rows, width), (out, width)))
    panels = native.Panels(weight, native.library())
    assert_close(panels(x), linear(x, weight), rtol=1e-5, atol=1e-5)
    assert panels.whole == (out == 64)
    if panels.whole:
        assert_close(panels(x, torch.ones(2, rows, out)), 1 + linear(x, weight), rtol=1e-5, atol=1e-5)


def reading_of(model):
    """Two samples, of which the first has padding in its description and before its prompt."""
    ids = torch.randint(3, 90, (2, 6), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 6, dtype=torch.long)
    padded, left = mask.clone(), mask.clone()
    padded[0, 4:], left[0, :3] = 0, 0
    return model.reading(ids, padded, ids, left, None, None, False)


def columns_of(decoder, reading, count=70):
    """Hidden states of columns read one by one, over buffers that grow; one sample leaves on the way."""
    cache, found = decoder.start(reading), []
    cache.reserve(reading.columns)
    decoder(reading.prompt.clone(), cache)
    ids = torch.randint(0, 32, (2, count, 4), generator=torch.Generator().manual_seed(2))
    for place in range(count):
        if place == count - 3:
            cache.keep(torch.tensor([0]))
        cache.reserve(1)
        rows = ids[: 1 if place >= count - 3 else 2, place : place + 1]
        found.append(decoder.logits(decoder(decoder.embed(rows), cache)[:, -1])[0])
    return torch.stack(found)


@needs_compiler
@pytest.mark.parametrize(
    "shape",
    [
        {"num_key_value_heads": 2, "num_cross_attention_key_value_heads": 1, "width": 64},
        {"rope": False, "width": 64, "vocab_size": 41},
        {"rope": False, "width": 64, "num_attention_heads": 8},
    ],
)
def test_compiled_layers_are_the_layers(shape, monkeypatch):
    torch.manual_seed(0)
    model = ParlerTTSForConditionalGeneration(tiny_config(**shape, initializer_factor=0.3)).eval()
    with torch.no_grad():
        reading = reading_of(model)
        compiled = InferenceDecoder(model.decoder)
        monkeypatch.setattr(native, "library", lambda: None)
        plain = InferenceDecoder(model.decoder)
        assert compiled.compiled
        assert not plain.compiled
        ours, theirs = columns_of(compiled, reading), columns_of(plain, reading)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@needs_compiler
@pytest.mark.parametrize("shape", [{"width": 24, "rope": False}, {"activation_function": "relu", "width": 64}])
def test_layers_that_are_not_known_stay_as_they_are(shape):
    model = ParlerTTSForConditionalGeneration(tiny_config(**shape))
    assert not InferenceDecoder(model.decoder).compiled
    ids = torch.randint(3, 90, (1, 5))
    assert model.generate(input_ids=ids, prompt_input_ids=ids, max_length=20, do_sample=False).isfinite().all()


def test_a_codec_of_laid_out_layers():
    """In use a codec gives what it gives while it trains, and follows its weights when they change."""
    torch.manual_seed(0)
    ratios, shape = [2, 5], {"encoder_hidden_size": 4, "decoder_hidden_size": 16, "n_codebooks": 2, "codebook_size": 8}
    network = build_dac(DacConfig(downsampling_ratios=ratios, codebook_dim=4, **shape))
    x = torch.randn(2, 1, 200)

    def both():
        latent = network.encoder(x)
        with torch.no_grad():
            used = network.encoder(x)
            sound = network.decoder(latent.detach())
        return (latent, used), (network.decoder(latent), sound)

    for training, used in both():
        assert training.requires_grad
        assert_close(used, training, rtol=1e-5, atol=1e-5)
    before = both()[1][1]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.3)
    (_, _), (training, used) = both()
    assert_close(used, training, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(before, used)


def test_without_a_compiler(monkeypatch, caplog):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with caplog.at_level(logging.INFO):
        assert compiled.__wrapped__(native.SOURCE) is None
    assert "no g++" in caplog.text


def test_a_compiler_that_fails(monkeypatch, tmp_path, caplog):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'unknown option' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(broken))
    assert compiled.__wrapped__(native.SOURCE) is None
    assert "unknown option" in caplog.text
