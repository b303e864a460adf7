"""Every published layout: read, refused where something is wrong, and written so that it reads the same again."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoFeatureExtractor, AutoTokenizer

from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.base import BaseError, known_files, validate_base
from parler_assets.tts.model.config import ParlerTTSConfig
from parler_assets.tts.model.loading import CheckpointError, fitting, published_names
from parler_assets.tts.model.tokenizers import load_tokenizers
from tests.support import published_layouts
from tests.support.bounded import outcome
from tests.tts.test_golden import CHECKPOINT

FILE = "model.safetensors"


@pytest.mark.parametrize("layout", published_layouts.LAYOUTS)
def test_published_sizes(layout, tmp_path):
    """On no memory at all: a model from the published configuration takes exactly the published tensors."""
    names = published_layouts.tensors(layout)
    assert len(names) == published_layouts.TENSORS.get(layout, len(names))
    numbers = sum(math.prod(shape) for shape in names.values())
    assert numbers == published_layouts.NUMBERS.get(layout, numbers)
    content = published_layouts.config(layout)
    content.pop("model_type")
    with torch.device("meta"):
        model = ParlerTTSForConditionalGeneration(ParlerTTSConfig(**content))
        tensors = {name: torch.empty(shape) for name, shape in names.items()}
    assert fitting(model, published_names(tensors), tmp_path).keys() == model.state_dict().keys()
    assert model.config.sampling_rate == 44100
    assert model.config.decoder.pattern.end == 1024


def variant(folder, change):
    """The golden checkpoint with `change` applied to its tensors."""
    shutil.copytree(CHECKPOINT, folder)
    tensors = load_file(folder / FILE)
    save_file(change(tensors), folder / FILE, metadata={"format": "pt"})
    return folder


def parametrized(tensors):
    names = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
    ending = {name: next((old for old in names if name.endswith(old)), "") for name in tensors}
    return {name.removesuffix(ending[name]) + names.get(ending[name], ""): t for name, t in tensors.items()}


def without_table(tensors):
    return {name: t for name, t in tensors.items() if not name.endswith("embed_positions.weights")}


@pytest.mark.parametrize("change", [parametrized, without_table])
def test_other_namings_give_the_same_weights(tmp_path, change):
    ours = ParlerTTSForConditionalGeneration.from_pretrained(variant(tmp_path / "other", change)).state_dict()
    for name, tensor in ParlerTTSForConditionalGeneration.from_pretrained(CHECKPOINT).state_dict().items():
        assert_close(ours[name], tensor, rtol=0, atol=2e-6, msg=name)


def test_fused_heads_are_the_same_heads(tmp_path):
    folder = variant(tmp_path / "fused", dict)
    content = json.loads((folder / "config.json").read_text())
    content["decoder"]["use_fused_lm_heads"] = True
    (folder / "config.json").write_text(json.dumps(content))
    fused, apart = (ParlerTTSForConditionalGeneration.from_pretrained(f) for f in (folder, CHECKPOINT))
    assert fused.decoder.lm_heads.weight.equal(apart.decoder.head_weights())


def test_saving_round_trip(tmp_path):
    model = ParlerTTSForConditionalGeneration.from_pretrained(CHECKPOINT)
    model.save_pretrained(tmp_path)
    again = ParlerTTSForConditionalGeneration.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert again.state_dict()[name].equal(tensor), name
    assert again.config.audio_encoder.partial_frame == "drop", "the length convention of the checkpoint is kept"
    assert again.generation_config.max_length == model.generation_config.max_length
    assert AutoFeatureExtractor.from_pretrained(tmp_path).sampling_rate == 44100
    text = "why do you speak?"
    ids = {tuple(AutoTokenizer.from_pretrained(place)(text).input_ids) for place in (CHECKPOINT, tmp_path)}
    assert ids == {tuple(load_tokenizers(tmp_path).description(text).input_ids)}
    assert "text_encoder.encoder.embed_tokens.weight" not in load_file(tmp_path / FILE)


def lacking(tensors):
    return {name: t for name, t in tensors.items() if "layers.1.fc1" not in name}


def extra(tensors):
    return tensors | {"decoder.model.decoder.layers.7.fc1.weight": torch.zeros(2, 2)}


def halved(tensors):
    return {name: t for name, t in tensors.items() if not name.endswith("encoder.block.0.weight_g")}


def misshapen(tensors):
    return tensors | {"embed_prompts.weight": torch.zeros(12, 64)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacking, r"lacks 1 weights .*layers\.1\.fc1"),
        (extra, r"also has 1 weights .*layers\.7"),
        (halved, "one half of its weight norm"),
        (misshapen, r"embed_prompts.weight has shape \(12, 64\)"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        ParlerTTSForConditionalGeneration.from_pretrained(variant(tmp_path / "bad", change))


def test_files_that_are_no_safetensors(tmp_path):
    folder = tmp_path / "bad"
    shutil.copytree(CHECKPOINT, folder)
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cut off"):
        ParlerTTSForConditionalGeneration.from_pretrained(folder)
    (folder / FILE).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin is pickled and never loaded"):
        ParlerTTSForConditionalGeneration.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config.json"):
        ParlerTTSForConditionalGeneration.from_pretrained(folder)


SIZES = {
    "layers": ("decoder", "num_hidden_layers", 10**7),
    "text layers": ("text_encoder", "num_layers", 10**6),
    "codebooks": ("decoder", "num_codebooks", 10**6),
    "positions": ("decoder", "max_position_embeddings", 10**10),
    "positions within belief": ("decoder", "max_position_embeddings", 10**7),
    "codebook": ("audio_encoder", "codebook_size", 2**27),
    "labels": ("text_encoder", "num_labels", 10**9),
    "digits": ("decoder", "hidden_size", 10**39),
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_that_the_weights_do_not_have_are_refused_before_anything_is_made(case: str, tmp_path: Path):
    section, field, value = SIZES[case]
    folder = tmp_path / "bad"
    shutil.copytree(CHECKPOINT, folder)
    content = json.loads((folder / "config.json").read_text())
    content[section][field] = value
    (folder / "config.json").write_text(json.dumps(content))
    kind, said = outcome(ParlerTTSForConditionalGeneration.from_pretrained, folder)
    assert (kind, "CheckpointError" in said, field in said) == ("raised", True, True), said


def test_links_that_leave_a_checkpoint_are_neither_copied_norpublished_names(tmp_path: Path):
    folder = tmp_path / "linked"
    shutil.copytree(CHECKPOINT, folder)
    (tmp_path / "secret").write_text("secret")
    (folder / "notes.txt").symlink_to(tmp_path / "secret")
    assert "notes.txt" not in known_files(folder)
    (folder / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(BaseError, match="LICENSE"):
        known_files(folder)
    with pytest.raises(BaseError, match="LICENSE"):
        validate_base(folder)
