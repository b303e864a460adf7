"""The model against recordings of the original (tests/golden): losses, gradients, greedy speech, codec, patterns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from parler_assets.speech.codec.codec import Codec, alike
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.generation.sampling import EosTracker
from parler_assets.tts.model.delay_pattern import FREE, DelayPattern
from parler_assets.tts.model.tokenizers import load_tokenizers

GOLDEN = Path(__file__).parents[1] / "golden"
CHECKPOINT = GOLDEN / "v01_sinusoidal"
BATCHES = {"fit": "batch", "probe": "probe_batch", "solo": "solo_batch"}
GRADIENTS = {
    "embed_prompts": "embed_prompts.weight",
    "embed_tokens.3": "decoder.model.decoder.embed_tokens.3.weight",
    "layer0.encoder_attn.q_proj": "decoder.model.decoder.layers.0.encoder_attn.q_proj.weight",
    "layer0.self_attn.k_proj": "decoder.model.decoder.layers.0.self_attn.k_proj.weight",
}


@pytest.fixture(scope="module")
def recorded():
    return load_file(CHECKPOINT / "golden.safetensors")


@pytest.fixture(scope="module")
def shared():
    return load_file(GOLDEN / "shared.safetensors")


@pytest.fixture(scope="module")
def meta():
    return json.loads((CHECKPOINT / "golden_meta.json").read_text())


@pytest.fixture
def model():
    return ParlerTTSForConditionalGeneration.from_pretrained(CHECKPOINT)


def batch(recorded, name, labels=True):
    start = f"{BATCHES[name]}."
    found = {key.removeprefix(start): value for key, value in recorded.items() if key.startswith(start)}
    return found if labels else {key: value for key, value in found.items() if key != "labels"}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("reduction", "ending"), [("mean", ""), ("sum", "_sum")])
@pytest.mark.parametrize("logits", [True, False])
def test_losses(model, recorded, name, reduction, ending, logits):
    output = model(**batch(recorded, name), loss_reduction=reduction, output_logits=logits)
    assert_close(output.loss[None], recorded[f"{name}.loss{ending}"], rtol=1e-5, atol=1e-7)
    per_codebook = torch.stack(output.per_codebook_losses)
    assert_close(per_codebook, recorded[f"{name}.per_codebook_losses{ending}"], rtol=1e-5, atol=1e-7)
    assert (output.logits is not None) == logits


@pytest.mark.parametrize("name", BATCHES)
def test_logits_and_description_states(model, recorded, name):
    inputs = batch(recorded, name)
    output, expected = model(**inputs), recorded[f"{name}.logits"]
    assert output.logits.shape == expected.shape
    L = inputs["labels"].shape[1]
    real = (inputs["labels"][:, :, 0] != -100)[:, None, :, None]
    ours, theirs = (x.view(-1, 9, *x.shape[1:])[:, :, -L:] * real for x in (output.logits, expected))
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    states = recorded[f"{name}.encoder_last_hidden_state"]
    assert_close(output.encoder_last_hidden_state, states, rtol=1e-5, atol=1e-6)


def gradients(recorded, name, dtype):
    model = ParlerTTSForConditionalGeneration.from_pretrained(CHECKPOINT).to(dtype)
    model(**batch(recorded, name)).loss.backward()
    return {key: p.grad.double() for key, p in model.named_parameters() if p.grad is not None}


def test_gradients(recorded, meta):
    """The fitted model's gradients nearly cancel. In double precision the recording is off by rounding alone: about as
    far as our own float32 is, and 2e-6 of the whole gradient."""
    exact, rounded = (gradients(recorded, "fit", dtype) for dtype in (torch.float64, torch.float32))
    whole = torch.stack([gradient.norm() for gradient in exact.values()]).norm()
    for name, key in GRADIENTS.items():
        off, own = (float((g.double() - exact[key]).norm()) for g in (recorded[f"fit.grad.{name}"], rounded[key]))
        assert off < 1.5 * own, key
        assert off < 5e-6 * whole, key
        assert off < 1.2e-3 * exact[key].norm(), key
    for key, norm in meta["grad_norms"].items():
        assert float(exact[key].norm()) == pytest.approx(norm, rel=1e-2), key


def test_gradients_that_do_not_cancel(recorded):
    """On a batch it was not fitted to, float32 agrees with double precision in every parameter."""
    exact, rounded = (gradients(recorded, "probe", dtype) for dtype in (torch.float64, torch.float32))
    for key, gradient in exact.items():
        assert float((rounded[key] - gradient).norm()) < 1e-5 * gradient.norm(), key


@pytest.mark.parametrize(("name", "longest"), [("gen_batch", 60), ("gen_short", 20)])
def test_greedy_speech_of_a_padded_batch(model, recorded, name, longest):
    inputs = batch(recorded, "fit", labels=False)
    said = model.generate(**inputs, do_sample=False, max_length=longest, return_dict_in_generate=True)
    assert_speech(said, recorded, name)


@pytest.mark.parametrize("row", range(3))
def test_greedy_speech_of_a_single_prompt(model, recorded, meta, row):
    features = meta["texts"]["features"][row]
    inputs = {key: torch.tensor([ids]) for key, ids in features.items()}
    said = model.generate(**inputs, do_sample=False, max_length=60, return_dict_in_generate=True)
    assert_speech(said, recorded, f"gen_solo.{row}")


def assert_speech(said, recorded, name):
    frames, valid = recorded[f"{name}.frames"], recorded[f"{name}.valid_frames"].tolist()
    assert [code.shape[1] for code in said.codes] == valid
    for ours, theirs in zip(said.codes, frames, strict=True):
        assert ours.tolist() == theirs[:, (theirs < 32).all(0)].tolist()
    assert said.audios_length == [512 * count for count in valid]
    assert_close(said.sequences, recorded[f"{name}.audio"], rtol=0, atol=5e-5)


def test_codec_alone(model, recorded):
    codec = Codec(model.audio_encoder)
    waves = [recorded[f"codec.wave.{i}"].numpy() for i in range(3)]
    for i, (code, wave) in enumerate(zip(codec.encode(waves), waves, strict=True)):
        assert code.tolist() == recorded[f"codec.codes.{i}"].tolist() == codec.encode([wave])[0].tolist()
    decoded = codec.decode([recorded[f"codec.codes.{i}"].numpy() for i in range(3)])
    for i, sound in enumerate(decoded):
        assert_close(torch.from_numpy(sound), recorded[f"codec.decoded.{i}"], rtol=0, atol=5e-5)


def test_sounds_of_like_length_are_decoded_together():
    assert alike([5, 100, 80, 74, 0, 100], 0.75) == [[1, 5, 2], [3], [0], [4]]
    assert alike([3, 4, 3], 1.0) == [[1], [0, 2]]
    assert alike([], 1.0) == []


def test_labels(recorded):
    pattern = DelayPattern(9, start=33, end=32)
    for i in range(3):
        assert pattern.labels(recorded[f"raw_codes.{i}"]).tolist() == recorded[f"labels.{i}"].tolist()


@pytest.mark.parametrize("case", range(10))
def test_delay_patterns(shared, case):
    shape = json.loads((GOLDEN / "shared_meta.json").read_text())["delay_cases"][case]
    K, M, n = shape["num_codebooks"], shape["max_length"], shape["prompt_len"]
    ids, expected = (shared[f"delay.{case}.{part}"].long() for part in ("input", "mask"))
    canvas = DelayPattern(K, shape["bos"], shape["pad"]).canvas(M, ids.view(-1, K, n)[..., 1:])
    if M < 2 * K - 1:  # the original has no pattern then; ours keeps the start column
        assert (expected == FREE).all()
        assert (canvas[..., 1:] == FREE).all()
        return
    assert canvas.flatten(0, 1).tolist() == expected.tolist()
    free = (canvas[:, 0] == FREE).any(0)
    given = int(free.int().argmax()) if free.any() else n
    assert canvas.flatten(0, 1)[:, :given].tolist() == shared[f"delay.{case}.ids"].tolist()


def test_codebooks_end_in_order(shared):
    ids = shared["eosproc.ids"].view(3, 9, -1).long()
    eos = EosTracker(3, 9, eos=32, device=ids.device)
    for step in range(ids.shape[2] - 1):
        eos.update(ids[..., step])
        forbidden = eos.forbidden()
        first = eos.active.flatten() + 9 * torch.arange(3)  # the original numbers the rows of the whole batch
        assert first.tolist() == shared["eosproc.first_unfinished"][step].tolist()
        assert forbidden.flatten().tolist() == shared["eosproc.forbidden"][step].tolist()


def test_texts_become_the_same_ids(meta):
    tokenizers, texts = load_tokenizers(CHECKPOINT), meta["texts"]
    for kind, key, tokenizer in (
        ("descriptions", "input_ids", tokenizers.description),
        ("prompts", "prompt_input_ids", tokenizers.prompt),
    ):
        assert [list(tokenizer(text).input_ids) for text in texts[kind]] == [f[key] for f in texts["features"]]
