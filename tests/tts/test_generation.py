"""Generation: the model card's snippet, batches, seeds, streaming, going on from audio, and what is refused."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import soundfile
import torch
from torch.testing import assert_close
from transformers import AutoTokenizer, DacConfig, GenerationConfig, set_seed

from parler_assets.speech.codec.codec import Codec
from parler_assets.speech.codec.dac import reach
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.generation.cuda_graph import GraphedStep
from parler_assets.tts.generation.streaming import ParlerTTSStreamer
from tests.support.tiny_checkpoint import write_tiny_checkpoint
from tests.tts.test_golden import CHECKPOINT

K, LENGTH = 4, 40
SHAPES = {
    "rotary, grouped, fused": {"num_key_value_heads": 2, "num_cross_attention_key_value_heads": 1},
    "table, separate": {"rope": False, "use_fused_lm_heads": False},
    "prompt in cross-attention": {"rope": False, "prompt_cross_attention": True, "text_width": 32},
}


@pytest.fixture(scope="module", params=SHAPES)
def model(request, tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("base"), **SHAPES[request.param], initializer_factor=0.3)
    return ParlerTTSForConditionalGeneration.from_pretrained(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def inputs():
    """Three samples, descriptions padded on the right and prompts on the left."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for names, lengths, left in (
        (("input_ids", "attention_mask"), (9, 6, 4), False),
        (("prompt_input_ids", "prompt_attention_mask"), (5, 8, 2), True),
    ):
        n = max(lengths)
        seen = torch.arange(n) < torch.tensor(lengths)[:, None]
        mask = (seen.flip(1) if left else seen).long()
        found |= dict(zip(names, (torch.randint(3, 90, (3, n), generator=generator) * mask, mask), strict=True))
    return found


def alone(inputs, row):
    """One sample without its padding."""
    kept = {
        name: inputs[name][row : row + 1, inputs[mask][row].bool()]
        for name, mask in (("input_ids", "attention_mask"), ("prompt_input_ids", "prompt_attention_mask"))
    }
    return kept | {name.replace("input_ids", "attention_mask"): torch.ones_like(ids) for name, ids in kept.items()}


def speak(model, inputs, **options):
    settings = {"max_length": LENGTH, "return_dict_in_generate": True, "count_padding": False}
    return model.generate(**inputs, **settings | options)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_a_sample_is_the_same_alone_and_in_any_batch(model, inputs, guidance):
    together = speak(model, inputs, seed=[7, 8, 9], guidance_scale=guidance)
    assert len({len(code[0]) for code in together.codes}) > 1 or not all(together.ended)
    for row in range(3):
        single = speak(model, alone(inputs, row), seed=[7 + row], guidance_scale=guidance)
        assert single.codes[0].tolist() == together.codes[row].tolist()
        assert single.ended[0] == together.ended[row]
        length = together.audios_length[row]
        assert_close(single.sequences[0, :length], together.sequences[row, :length], rtol=0, atol=1e-5)


def test_a_step_sees_what_training_sees(model, inputs):
    """Teacher forcing over what was generated chooses the same ids: cache, masks and positions agree."""
    said = speak(model, inputs, do_sample=False, min_new_tokens=LENGTH)
    codes = torch.stack(said.codes)
    labels = model.config.decoder.pattern.labels(codes).transpose(1, 2)
    logits = model(**inputs, labels=labels, count_padding=False).logits.unflatten(0, (3, K))
    best = logits[:, :, -labels.shape[1] : -1, :32].argmax(-1)
    guessed = model.config.decoder.pattern.undo(torch.nn.functional.pad(best, (1, 0)))
    assert guessed.tolist() == codes.tolist()


def test_several_sequences_of_each_sample(model, inputs):
    said = speak(model, inputs, num_return_sequences=2, seed=[1, 2, 3, 4, 5, 6])
    assert len(said.codes) == 6
    assert said.codes[3].tolist() == speak(model, alone(inputs, 1), seed=[4]).codes[0].tolist()
    assert said.codes[2].tolist() != said.codes[3].tolist()


def test_guidance_moves_away_from_speech_without_a_description(model, inputs):
    plain = speak(model, inputs, do_sample=False).codes
    other = inputs | {"input_ids": inputs["input_ids"].flip(1) * inputs["attention_mask"] + 3}
    assert [c.tolist() for c in speak(model, inputs, do_sample=False, guidance_scale=4.0).codes] != [
        c.tolist() for c in plain
    ]
    nothing = [speak(model, given, do_sample=False, guidance_scale=0.0).codes for given in (inputs, other)]
    assert [c.tolist() for c in nothing[0]] == [c.tolist() for c in nothing[1]], "0 leaves the description out"


def test_going_on_from_audio(model, inputs):
    """Greedy speech continues from its own beginning as it continued the first time."""
    whole = speak(model, inputs, do_sample=False, min_new_tokens=LENGTH)
    beginning = torch.stack([code[:, :12] for code in whole.codes])
    again = speak(model, inputs, do_sample=False, min_new_tokens=LENGTH, audio_codes=beginning)
    assert [code.tolist() for code in again.codes] == [code.tolist() for code in whole.codes]
    wave = torch.from_numpy(np.stack(Codec(model.audio_encoder).decode(list(beginning.numpy()))))
    prefix = Codec(model.audio_encoder).encode(list(wave.numpy()))
    heard = speak(model, inputs, do_sample=False, input_values=wave[:, None])
    assert [code[:, :12].tolist() for code in heard.codes] == [code.tolist() for code in prefix]


@pytest.mark.parametrize("frames", [1, 7, 100])
def test_streamed_samples_are_the_offline_samples(model, inputs, frames):
    options = {"seed": [7, 8, 9], "max_length": LENGTH, "count_padding": False, "min_new_tokens": 28}
    whole = speak(model, inputs, **options)
    pieces = list(model.stream(**inputs, frames=frames, **options))
    for row, length in enumerate(whole.audios_length):
        streamed = torch.cat([piece[row] for piece in pieces])
        assert len(streamed) == length
        assert_close(streamed, whole.sequences[row, :length], rtol=0, atol=1e-5)
    assert all(any(len(sound) for sound in piece) for piece in pieces)
    assert len(pieces) <= 2 if frames == 100 else len(pieces) >= 3


def test_streaming_reads_as_far_as_the_codec_reaches(model):
    """One code changed changes no sample further away than `reach` frames, and some that are nearly as far."""
    codec, T = Codec(model.audio_encoder), 40
    codes = np.random.default_rng(0).integers(0, 32, (K, T))
    changed = codes.copy()
    changed[:, 20] = (changed[:, 20] + 5) % 32
    one, other = codec.decode([codes, changed])
    apart = np.flatnonzero(one != other) // codec.hop - 20
    assert -codec.reach <= apart.min() <= -codec.reach + 2
    assert codec.reach - 2 <= apart.max() <= codec.reach
    assert reach(DacConfig(downsampling_ratios=[2, 4, 8, 8])) == 10, "4757 samples of 512 a frame"


def test_the_original_streamer(model, inputs):
    streamer = ParlerTTSStreamer(model, device="cpu", play_steps=5)
    options = {**alone(inputs, 0), "seed": 3, "max_length": LENGTH}
    thread = threading.Thread(target=model.generate, kwargs=options | {"streamer": streamer})
    thread.start()
    heard = np.concatenate(list(streamer))
    thread.join()
    np.testing.assert_allclose(heard, model.generate(**options)[0].numpy()[: len(heard)], atol=1e-5)


def test_weights_that_changed_are_used(model, inputs):
    before = speak(model, inputs, do_sample=False).codes[0].tolist()
    weight = model.decoder.model.decoder.layers[0].fc1.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(-3)
        assert speak(model, inputs, do_sample=False).codes[0].tolist() != before
        weight.copy_(kept)
    assert speak(model, inputs, do_sample=False).codes[0].tolist() == before


def test_a_model_loaded_in_inference_mode_speaks(model, inputs):
    with torch.inference_mode():
        loaded = ParlerTTSForConditionalGeneration.from_pretrained(model.source)
    said = [speak(one, inputs, seed=1).codes for one in (model, loaded)]
    assert [code.tolist() for code in said[0]] == [code.tolist() for code in said[1]]


def test_adapters_are_heard_before_they_are_merged(model, inputs):
    """A layer that is more than its weight is asked itself."""
    from parler_assets.recipe import Lora
    from parler_assets.tts.training.weights import add_adapters, merge_adapters

    adapted = ParlerTTSForConditionalGeneration.from_pretrained(model.source)
    add_adapters(adapted, Lora(rank=4), seed=0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    adapted.eval()
    heard = [code.tolist() for code in speak(adapted, inputs, do_sample=False).codes]
    assert heard != [code.tolist() for code in speak(model, inputs, do_sample=False).codes]
    merge_adapters(adapted)
    assert heard == [code.tolist() for code in speak(adapted, inputs, do_sample=False).codes]


@pytest.mark.parametrize(("options", "dtype"), [({}, torch.float32), ({"dtype": "auto"}, torch.bfloat16)])
def test_auto_is_what_lies_in_the_file(model, tmp_path, options, dtype):
    half = ParlerTTSForConditionalGeneration.from_pretrained(model.source, torch_dtype=torch.bfloat16)
    half.save_pretrained(tmp_path)
    loaded = ParlerTTSForConditionalGeneration.from_pretrained(tmp_path, device_map="auto", **options)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}


@pytest.mark.parametrize(("said", "dtype"), [("float16", torch.float16), ("", torch.bfloat16)])
def test_auto_asks_the_configuration_before_the_file(plain, tmp_path, said, dtype):
    half = ParlerTTSForConditionalGeneration.from_pretrained(plain, torch_dtype=torch.bfloat16)
    half.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["torch_dtype"]
    (tmp_path / "config.json").write_text(json.dumps(config | ({"dtype": said} if said else {})))
    assert ParlerTTSForConditionalGeneration.from_pretrained(tmp_path, dtype="auto").dtype == dtype


@pytest.mark.parametrize("place", ["cpu", {"": "cpu"}, torch.device("cpu"), {"decoder": "cpu", "text_encoder": "cpu"}])
@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16", "torch.bfloat16"])
def test_one_device_and_one_type_in_every_spelling(plain, place, dtype):
    loaded = ParlerTTSForConditionalGeneration.from_pretrained(plain, device_map=place, dtype=dtype)
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.bfloat16)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device_map": "balanced"}, "lies on one device"),
        ({"device_map": "balanced_low_0"}, "lies on one device"),
        ({"device_map": "sequential"}, "lies on one device"),
        ({"device_map": {"decoder": "cpu", "text_encoder": "disk"}}, "lies on one device"),
        ({"device_map": "gpu"}, "no device: give 'cpu'"),
        ({"device_map": {"": "gpu"}}, "no device: give 'cpu'"),
        ({"dtype": "bf16"}, "all weights have one type"),
        ({"torch_dtype": "half precision"}, "all weights have one type"),
        ({"dtype": torch.int8}, "all weights have one type"),
        ({"dtype": {"decoder": torch.bfloat16}}, "all weights have one type"),
    ],
)
def test_what_cannot_be_done_is_refused(plain, options, said):
    with pytest.raises(ValueError, match=said):
        ParlerTTSForConditionalGeneration.from_pretrained(plain, **options)


def test_saving_does_not_publish(model, tmp_path):
    with pytest.raises(ValueError, match="parler-assets release"):
        model.save_pretrained(tmp_path, push_to_hub=True)


def test_the_model_cards_snippet(tmp_path):
    """As the cards have it but for the import and the repository's name, which is a folder here."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    model = ParlerTTSForConditionalGeneration.from_pretrained(CHECKPOINT).to(device)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    prompt = "why do you do the *voice*?"
    description = "thomas speaks slow in a sad voice, clear audio quality."
    input_ids = tokenizer(description, return_tensors="pt").input_ids.to(device)
    prompt_input_ids = tokenizer(prompt, return_tensors="pt").input_ids.to(device)
    set_seed(42)
    generation = model.generate(input_ids=input_ids, prompt_input_ids=prompt_input_ids)
    audio_arr = generation.cpu().numpy().squeeze()
    soundfile.write(tmp_path / "parler_tts_out.wav", audio_arr, model.config.sampling_rate)
    assert soundfile.info(tmp_path / "parler_tts_out.wav").duration > 0.1
    set_seed(42)
    again = model.generate(input_ids=input_ids, prompt_input_ids=prompt_input_ids)
    assert np.array_equal(again.cpu().numpy().squeeze(), audio_arr)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_attention_mask": torch.zeros(3, 8, dtype=torch.long)}, "prompt 0 is empty"),
        ({"prompt_input_ids": torch.full((3, 8), 4000)}, "token 4000, but this checkpoint knows 96"),
        ({"input_ids": torch.full((3, 9), -1)}, "description: token"),
        ({"prompt_attention_mask": torch.ones(3, 5, dtype=torch.long)}, r"ids have shape \(3, 8\)"),
        ({"max_length": 5}, "no room for speech"),
        ({"num_beams": 2}, "num_beams=2 is not supported: generation follows do_sample"),
        ({"repetition_penalty": 1.2}, "repetition_penalty=1.2 is not supported"),
        ({"bad_words_ids": [[3]]}, "bad_words_ids"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"top_p": 1.5}, "top_p"),
        ({"seed": [1, 2]}, "2 seeds for 3 samples"),
        ({"audio_codes": torch.zeros(3, 2, 5)}, r"should be \(3, 4, frames\)"),
        ({"audio_codes": torch.full((3, 4, 5), 32)}, "from 0 to 31"),
    ],
)
def test_what_is_refused(model, inputs, change, message):
    with pytest.raises(ValueError, match=message):
        speak(model, inputs, **change) if change.keys() - inputs.keys() else speak(model, inputs | change)


def test_an_option_that_does_not_exist(model, inputs):
    with pytest.raises(TypeError, match="no option 'temprature'"):
        speak(model, inputs, temprature=1.0)
    with pytest.raises(TypeError, match="no argument 'lables'"):
        model(**inputs, lables=None)


def test_a_prompt_over_the_table_of_positions(model, inputs):
    if model.config.decoder.rope_embeddings:
        pytest.skip("rotary positions have no end")
    long = {"prompt_input_ids": torch.full((3, 600), 5), "prompt_attention_mask": torch.ones(3, 600, dtype=torch.long)}
    with pytest.raises(ValueError, match="shorten"):
        speak(model, inputs | long)


def test_fields_of_published_generation_configs_are_harmless(model, inputs):
    """Those of every known checkpoint, and what transformers writes for the rest at its defaults."""
    fields = {"do_sample": True, "max_length": 2610, "min_new_tokens": 10, "guidance_scale": 1, "bos_token_id": 1025}
    old = {"num_beams": 1, "repetition_penalty": 1.0, "typical_p": 1.0, "diversity_penalty": 0.0, "bad_words_ids": None}
    plain, full = GenerationConfig(**fields), GenerationConfig(**fields, **old, pad_token_id=1024, use_cache=True)
    said = [speak(model, inputs, generation_config=config, seed=1).codes for config in (plain, full)]
    assert [code.tolist() for code in said[0]] == [code.tolist() for code in said[1]]


def test_a_device_that_cannot_capture_goes_on_without(model, inputs, monkeypatch, caplog):
    class Failing:
        def __init__(self):
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    said = speak(model, inputs, seed=1).codes
    begin = GraphedStep.__init__

    def on_cuda(self, step, device):
        begin(self, step, torch.device("cuda"))

    monkeypatch.setattr(GraphedStep, "__init__", on_cuda)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Failing)
    again = speak(model, inputs, seed=1).codes
    assert [code.tolist() for code in again] == [code.tolist() for code in said]
    assert caplog.text.count("cannot be captured") == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: steps are captured as graphs there")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_captured_steps(model, inputs, dtype, monkeypatch):
    """A graph gives what single kernels give, over buffers that grow and samples that leave."""
    device = ParlerTTSForConditionalGeneration.from_pretrained(model.source, torch_dtype=dtype).to("cuda")
    given = {name: ids.cuda() for name, ids in inputs.items()}
    captured = speak(device, given, do_sample=False, max_length=400)
    monkeypatch.setattr(GraphedStep, "run", lambda self: self.step())
    single = speak(device, given, do_sample=False, max_length=400)
    assert [code.tolist() for code in captured.codes] == [code.tolist() for code in single.codes]
