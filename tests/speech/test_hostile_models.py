"""Language models and recognisers that somebody else made: one sentence before anything is allocated or rendered."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parler_assets.hub.pretrained import checked_folder, refuse_larger
from parler_assets.intake.chat_templates import refuse_template, written
from parler_assets.recipe import Describing
from parler_assets.speech.descriptions import DescriptionError
from parler_assets.speech.descriptions.engines.choice import open_engine
from parler_assets.tts.scoring.judges import JudgeMissing, load_whisper
from tests.cli.test_hostile_checkpoints import cut, edit, instead, text, zeros
from tests.support.bounded import outcome
from tests.support.tiny_chat import write_tiny_chat
from tests.support.tiny_whisper import write_tiny_whisper

CONFIG = "config.json"
EITHER: dict[str, Callable[[Path], None]] = {
    "config cut": cut(CONFIG),
    "config a list": text(CONFIG, "[]"),
    "config deep": text(CONFIG, "[" * 50_000),
    "config a pipe": instead(CONFIG, os.mkfifo),
    "config without end": instead(CONFIG, zeros),
    "config absent": lambda folder: (folder / CONFIG).unlink(),
    "a kind unknown": edit(CONFIG, model_type="evil"),
    "a kind that is a number": edit(CONFIG, model_type=7),
    "words": edit(CONFIG, vocab_size=1 << 30),
    "words, fewer": edit(CONFIG, vocab_size=1 << 23),
    "words negative": edit(CONFIG, vocab_size=-5),
    "words a text": edit(CONFIG, vocab_size="many"),
    "labels": edit(CONFIG, num_labels=1 << 23),
    "code of its own": edit(CONFIG, auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"}, model_type="x"),
    "generation deep": text("generation_config.json", "[" * 50_000),
    "generation a pipe": instead("generation_config.json", os.mkfifo),
    "tokenizer cut": cut("tokenizer.json"),
    "tokenizer deep": text("tokenizer.json", "[" * 50_000),
    "tokenizer without end": instead("tokenizer.json", zeros),
    "tokenizer config a list": text("tokenizer_config.json", "[]"),
    "words that were added without end": instead("added_tokens.json", zeros),
    "weights cut": cut("model.safetensors"),
    "weights a pipe": instead("model.safetensors", os.mkfifo),
    "weights pickled": lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin") and None,
}
CHAT = EITHER | {
    "layers": edit(CONFIG, num_hidden_layers=10**7),
    "layers, fewer": edit(CONFIG, num_hidden_layers=5000),
    "width": edit(CONFIG, hidden_size=1 << 22),
    "width within": edit(CONFIG, intermediate_size=1 << 24),
    "heads": edit(CONFIG, num_key_value_heads=1 << 20, num_attention_heads=1 << 20),
    "head": edit(CONFIG, head_dim=1 << 23),
    "experts": edit(CONFIG, model_type="mixtral", architectures=["MixtralForCausalLM"], num_local_experts=1 << 20),
    "another kind whose table of positions is made": edit(CONFIG, model_type="gpt2", n_positions=1 << 24),
    "another kind of many layers": edit(CONFIG, model_type="gpt2", n_layer=1 << 20),
    "layers of another part": edit(CONFIG, model_type="bart", decoder_layers=1 << 20, encoder_layers=1 << 20),
    "an activation": edit(CONFIG, hidden_act="os.system"),
    "a template that is too long": instead("chat_template.jinja", lambda path: path.write_text("x" * 100_000)),
    "a template that multiplies": instead("chat_template.jinja", lambda path: path.write_text("{{ 'a' * 10 }}")),
    "a template that is a pipe": instead("chat_template.jinja", os.mkfifo),
}
WHISPER = EITHER | {
    "encoder's layers": edit(CONFIG, encoder_layers=10**7),
    "decoder's layers": edit(CONFIG, decoder_layers=5000),
    "width": edit(CONFIG, d_model=1 << 20),
    "source positions": edit(CONFIG, max_source_positions=1 << 24),
    "target positions": edit(CONFIG, max_target_positions=1 << 24),
    "bands": edit(CONFIG, num_mel_bins=1 << 24),
    "preprocessor deep": text("preprocessor_config.json", "[" * 50_000),
    "preprocessor of many bands": text("preprocessor_config.json", json.dumps({"feature_size": 1 << 30})),
    "processor without end": instead("processor_config.json", zeros),
}


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> Path:
    return write_tiny_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"), "Hello!")


def copied(folder: Path, target: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(folder, target)
    change(target)
    return target


@pytest.mark.parametrize("case", CHAT)
def test_a_hostile_language_model_is_a_sentence(case: str, chat: Path, tmp_path: Path):
    folder = copied(chat, tmp_path / "model", CHAT[case])
    with pytest.raises(DescriptionError) as refused:
        open_engine(Describing(engine="transformers", model=str(folder)), tmp_path)
    said = str(refused.value)
    assert said.startswith(f"describing.model {folder}")
    assert len(said) < 700


@pytest.mark.parametrize("case", WHISPER)
def test_a_hostile_recogniser_is_a_gap_with_its_reason(case: str, whisper: Path, tmp_path: Path):
    folder = copied(whisper, tmp_path / "model", WHISPER[case])
    with pytest.raises(JudgeMissing, match="cannot be loaded here: ") as refused:
        load_whisper(str(folder), "main", "cpu")
    assert len(str(refused.value)) < 700


TEMPLATES = {
    "no template": "{% for",
    "parentheses": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "not a token": "{{ ` }}",
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops of a macro": "{% macro m(n) %}{% for a in range(99999) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(1) }}",
    "doubling": "{% set n = namespace(x='ab') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "doubling by adding": "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a wide text": "{{ 'a'|center(9999999999) }}",
    "a wide format": "{{ '%9999999999d' % 1 }}",
    "a wide format call": "{{ '{:>9999999999}'.format(1) }}",
    "a wide indent": "{{ 'a\\nb'|indent(9999999999) }}",
    "replaced": "{% set n = namespace(x='a'*1) %}{{ n }}",
    "a power": "{{ 10 ** 10 ** 10 }}",
    "a product": "{{ 'a' * 9999999999 }}",
    "a product in a block": "{% set x = [0] * 9999999999 %}",
    "much text": "{% for a in range(99999) %}{{ 'a'|center(99) }}{% endfor %}",
    "Python's insides": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "an error of its own": "{{ raise_exception('no') }}",
    "names that are not there": "{{ messages[99].content.a.b }}",
}


def asked(template: str) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    refuse_template(template)
    return written(lambda: render_jinja_template([[{"role": "user", "content": "Hi"}]], chat_template=template)[0][0])


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_hostile_chat_template_is_refused(case: str, monkeypatch):
    monkeypatch.setattr("parler_assets.intake.chat_templates.SECONDS", 0.3)
    monkeypatch.setattr("parler_assets.intake.chat_templates.MEMORY", 1 << 27)
    kind, said = outcome(asked, TEMPLATES[case])
    assert kind == "refused", said
    assert "chat template" in said


def test_good_models_are_read(chat: Path, whisper: Path):
    from transformers import AutoModelForCausalLM, WhisperForConditionalGeneration

    for folder, kind in ((chat, AutoModelForCausalLM), (whisper, WhisperForConditionalGeneration)):
        assert checked_folder(str(folder), None) == folder
        refuse_larger(kind, folder)
    assert asked("{% for m in messages %}{{ loop.index0 % 2 }}{{ m.content }}{% endfor %}") == "0Hi"
    with pytest.raises(FileNotFoundError):
        checked_folder(str(Path(__file__).parents[1] / "golden"), None)
