"""bfloat16 under teacher forcing chooses the audio codes that float32 chooses, wherever float32 is sure of them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.generation.decoder import CachedDecoder
from parler_assets.tts.model.delay_pattern import IGNORED
from tests.tts.test_golden import BATCHES, CHECKPOINT, batch


@pytest.fixture(scope="module")
def recorded():
    return load_file(CHECKPOINT / "golden.safetensors")


@pytest.fixture(scope="module")
def models():
    load = ParlerTTSForConditionalGeneration.from_pretrained
    return {dtype: load(CHECKPOINT, dtype=dtype) for dtype in ("float32", "bfloat16")}


def forced(model, inputs):
    """Logits (B, L, K, V) of every column, given the recorded columns before it: all at once."""
    K, L = model.config.decoder.num_codebooks, inputs["labels"].shape[1]
    with torch.no_grad():
        return model(**inputs).logits.unflatten(0, (-1, K))[:, :, -L:].transpose(1, 2).float()


def stepped(model, inputs):
    """The same logits for the ids that can be chosen, one column at a time over the KV cache, as speech is made."""
    given = {name: value for name, value in inputs.items() if name != "labels"}
    decoder, ids = CachedDecoder(model.decoder), model.config.decoder.pattern.inputs(inputs["labels"])
    with torch.no_grad():
        read, found = model.prepare_inputs(**given), []
        cache = decoder.start(read)
        for column in range(ids.shape[1]):
            x = decoder.embed(ids[:, column : column + 1])
            if not column and read.prompt is not None:
                x = torch.cat([read.prompt.to(x.dtype), x], dim=1)
            cache.reserve(x.shape[1])
            found.append(decoder.logits(decoder(x, cache)[:, -1]))
    return torch.stack(found, 1)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("how", [forced, stepped])
def test_the_same_codes_are_chosen(models, recorded, name, how):
    inputs = batch(recorded, name)
    choices = models["float32"].config.decoder.codebook_size + 1
    exact, half = (how(models[dtype], inputs)[..., :choices] for dtype in ("float32", "bfloat16"))
    learnt = models["float32"].config.decoder.pattern.counted(inputs["labels"]) != IGNORED
    best = exact.topk(2, -1).values[learnt]
    margin, rounding = best[:, 0] - best[:, 1], (exact - half)[learnt].abs().amax(-1)
    same = (exact.argmax(-1) == half.argmax(-1))[learnt]
    assert same.float().mean() > 0.97
    assert rounding.max() < 0.1 * margin.median()
    assert (margin[~same] < 0.1 * margin.median()).all(), "float32 all but tossed a coin there"


@pytest.mark.parametrize("name", BATCHES)
def test_a_column_at_a_time_gives_what_all_at_once_gives(models, recorded, name):
    """In float32: what the comparison above rests on, over padded prompts and descriptions."""
    inputs = batch(recorded, name)
    real = (inputs["labels"] != IGNORED).any(-1)
    step = stepped(models["float32"], inputs)
    torch.testing.assert_close(
        step[real], forced(models["float32"], inputs)[..., : step.shape[-1]][real], rtol=1e-4, atol=1e-4
    )
