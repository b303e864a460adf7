"""Checkpoints that somebody else made: say and serve end in one sentence, run none of their code, wait for nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from parler_assets.cli.app import app
from tests.support.tiny_checkpoint import write_tiny_checkpoint

MOST = 600  # characters of a message
CODE = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"


def edit(file: str, *path: str, **values) -> Callable[[Path], None]:
    """Values set in a part of a JSON file; what is given as `...` is removed."""

    def change(folder: Path) -> None:
        target = folder / file
        content = json.loads(target.read_text()) if target.is_file() else {}
        part = content
        for key in path:
            part = part[key]
        part |= {key: value for key, value in values.items() if value is not ...}
        for key in [key for key, value in values.items() if value is ...]:
            part.pop(key, None)
        target.write_text(json.dumps(content))

    return change


def text(file: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_text(content) and None


def cut(file: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: len(data) // 2])

    return change


def instead(file: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        make(folder / file)

    return change


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def own_code(file: str, **values) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in ("evil", "tokenization_evil", "__init__"):
            (folder / f"{name}.py").write_text(CODE)
        edit(file, **values)(folder)

    return change


def elsewhere(name: str) -> Callable[[Path], None]:
    """Descriptions that need another tokenizer than prompts, from a place that the checkpoint names."""

    def change(folder: Path) -> None:
        edit("config.json", vocab_size=95)(folder)
        tensors = load_file(folder / WEIGHTS)
        tensors["embed_prompts.weight"] = tensors["embed_prompts.weight"][:95].clone()
        save_file(tensors, folder / WEIGHTS)
        edit("config.json", "text_encoder", _name_or_path=name)(folder)

    return change


WEIGHTS = "model.safetensors"
HOSTILE: dict[str, Callable[[Path], None]] = {
    "config cut": cut("config.json"),
    "config a list": text("config.json", "[]"),
    "config deep": text("config.json", "[" * 50_000),
    "config a pipe": instead("config.json", os.mkfifo),
    "config without end": instead("config.json", zeros),
    "config a folder": instead("config.json", Path.mkdir),
    "no decoder": edit("config.json", decoder=...),
    "decoder a text": edit("config.json", decoder="x"),
    "hidden size a text": edit("config.json", "decoder", hidden_size="x"),
    "hidden size null": edit("config.json", "decoder", hidden_size=None),
    "no heads": edit("config.json", "decoder", num_attention_heads=0),
    "heads that do not divide": edit("config.json", "decoder", num_attention_heads=7),
    "unknown activation": edit("config.json", "decoder", activation_function="os.system"),
    "codec without ratios": edit("config.json", "audio_encoder", downsampling_ratios=[]),
    "codec ratio zero": edit("config.json", "audio_encoder", downsampling_ratios=[0, 2]),
    "codec ratio negative": edit("config.json", "audio_encoder", downsampling_ratios=[-2, 2]),
    "codec ratios a text": edit("config.json", "audio_encoder", downsampling_ratios="88"),
    "codec rate zero": edit("config.json", "audio_encoder", sampling_rate=0),
    "codec rate a text": edit("config.json", "audio_encoder", sampling_rate="loud"),
    "codec codebooks": edit("config.json", "audio_encoder", n_codebooks=77, num_codebooks=77),
    "codec a list": edit("config.json", audio_encoder=[]),
    "many codec stages": edit("config.json", "audio_encoder", downsampling_ratios=[1] * 100_000),
    "a long hop": edit("config.json", "audio_encoder", downsampling_ratios=[1 << 20] * 4),
    "a wide codec": edit("config.json", "audio_encoder", encoder_hidden_size=1 << 24),
    "a wide decoder that has no table": edit(
        "config.json", "decoder", hidden_size=1 << 22, max_position_embeddings=1 << 17, rope_embeddings=False
    ),
    "a wide text encoder": edit("config.json", "text_encoder", d_model=1 << 24),
    "descriptions' tokenizer of a stranger": elsewhere("evil/tokenizer"),
    "descriptions' tokenizer in a folder of this machine": elsewhere("/etc"),
    "descriptions' tokenizer beside it": elsewhere("../secret"),
    "descriptions' tokenizer, published, without a network": elsewhere("google/flan-t5-large"),
    "labels": edit("config.json", num_labels=1 << 23),
    "labels of the text encoder": edit("config.json", "text_encoder", num_labels=1 << 23),
    "labels of the codec": edit("config.json", "audio_encoder", num_labels=1 << 23),
    "labels of the decoder": edit("config.json", "decoder", num_labels=1 << 23),
    "generation cut": text("generation_config.json", '{"max_new_tokens": '),
    "generation a list": text("generation_config.json", "[]"),
    "generation deep": text("generation_config.json", '{"a": ' * 50_000),
    "generation a value of another type": edit("generation_config.json", max_new_tokens=[]),
    "generation of a strategy unknown": edit("generation_config.json", cache_implementation="evil", num_beams=-1),
    "generation a pipe": instead("generation_config.json", os.mkfifo),
    "generation without end": instead("generation_config.json", zeros),
    "tokenizer cut": cut("tokenizer.json"),
    "tokenizer empty": text("tokenizer.json", ""),
    "tokenizer an empty object": text("tokenizer.json", "{}"),
    "tokenizer deep": text("tokenizer.json", "[" * 50_000),
    "tokenizer a pipe": instead("tokenizer.json", os.mkfifo),
    "tokenizer without end": instead("tokenizer.json", zeros),
    "tokenizer config cut": text("tokenizer_config.json", '{"tokenizer_class": '),
    "tokenizer config a list": text("tokenizer_config.json", "[]"),
    "tokenizer config a pipe": instead("tokenizer_config.json", os.mkfifo),
    "weights cut": cut(WEIGHTS),
    "weights a pipe": instead(WEIGHTS, os.mkfifo),
    "weights without end": instead(WEIGHTS, zeros),
    "weights a folder": instead(WEIGHTS, Path.mkdir),
    "index of files elsewhere": text("model.safetensors.index.json", '{"weight_map": {"a": "../../a.safetensors"}}'),
    "index a list": text("model.safetensors.index.json", "[]"),
    "index of numbers": text("model.safetensors.index.json", '{"weight_map": {"a": 1}}'),
    "tokenizer with code": own_code(
        "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}, tokenizer_class="EvilTokenizer"
    ),
}
HARMLESS: dict[str, Callable[[Path], None]] = {  # what is said there is never looked at
    "text model unknown": edit("config.json", "text_encoder", model_type="evil"),
    "config with code": own_code("config.json", auto_map={"AutoConfig": "evil.C"}, model_type="evil"),
    "generation with code": own_code("generation_config.json", auto_map={"AutoModel": "evil.M"}),
}


@pytest.fixture(autouse=True)
def home(monkeypatch, whole: Path, tmp_path: Path):
    monkeypatch.setenv("PARLER_RECIPE", "sample")
    monkeypatch.setenv("DAGSTER_HOME", str(whole.parent / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "checkpoint"
    write_tiny_checkpoint(folder)
    return folder


def made(whole: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change(folder)
    return folder


def speak(folder: Path, *command: str):
    """Whoever is asked anything answers yes."""
    return CliRunner().invoke(app, [*command, "--checkpoint", str(folder), "--device", "cpu"], input="y\n" * 9)


COMMANDS = [(["say", "Hello."], case) for case in HOSTILE]
COMMANDS += [(["serve", "--port", "0"], case) for case in ("codec ratio zero", "generation deep", "tokenizer cut")]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("command", "case"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_hostile_checkpoint_ends_in_a_sentence(command: list[str], case: str, whole: Path, tmp_path: Path):
    folder = made(whole, tmp_path / "checkpoint", HOSTILE[case])
    result = speak(folder, *command)
    assert isinstance(result.exception, SystemExit), repr(result.exception)[:MOST]
    assert result.exit_code == 1
    said = result.output.strip()
    assert "Traceback" not in said
    assert "trust_remote_code" not in said
    assert 10 < len(said) <= MOST, said[: 2 * MOST]
    assert not list(folder.rglob("ran"))
    assert not (tmp_path / "speech.wav").exists()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", HARMLESS)
def test_code_that_a_checkpoint_names_is_never_run(case: str, whole: Path, tmp_path: Path):
    folder = made(whole, tmp_path / "checkpoint", HARMLESS[case])
    result = speak(folder, "say", "Hello.")
    assert result.exit_code == 0, result.output
    assert "trust_remote_code" not in result.output
    assert not list(folder.rglob("ran"))
