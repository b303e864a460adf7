"""Commands around a checkpoint refuse what they cannot do before anything is loaded, and say what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parler_assets.cli.app import app
from parler_assets.cli.speak import kept_in
from parler_assets.recipe import load_recipe
from parler_assets.resources.workspace import Workspace
from parler_assets.speech.audio import decode
from tests.support.tiny_checkpoint import write_tiny_checkpoint
from tests.tts.test_serve import broken, huge


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    """Commands choose their recipe for the whole process: given back after each test."""
    monkeypatch.setenv("PARLER_RECIPE", "sample")


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", "Hello.", "-o", "speech.txt"], "choose the format by its suffix"),
        (["compare", "nowhere", "nowhere"], "neither a checkpoint"),
        (["say", "Hello.", "--checkpoint", "nowhere"], "nowhere: not a checkpoint"),
        (["say", "Hello.", "-o", "no/such/speech.wav"], "there is no folder no/such"),
        (["serve", "--checkpoint", "nowhere", "--port", "0"], "nowhere: not a checkpoint"),
        (["seeds", "1", "--checkpoint", "nowhere"], "nowhere: not a checkpoint"),
        (["run", "--select", "scorecrad"], "did you mean scorecard"),
        (["run", "--select", "key:nosuch"], "selects no asset"),
        (["run", "--select", "((("], "Invalid selection"),
        (["run", "--recipe", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_done_ends_with_its_remedy(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_say_writes_the_format_of_the_suffix(suffix, spoken_with, tmp_path: Path):
    file, voice = tmp_path / f"out.{suffix}", load_recipe("sample").evaluation.speakers[-1]
    result = run("say", "Hello there.", "--voice", voice.lower(), "--rate", "quite fast", "-o", str(file), *spoken_with)
    assert result.exit_code == 0, result.output
    assert decode(file.read_bytes()).seconds > 0
    assert voice in result.output


def test_a_voice_that_nobody_has_is_refused(spoken_with, tmp_path: Path):
    result = run("say", "Hello.", "--voice", "Bob", "-o", str(tmp_path / "out.wav"), *spoken_with)
    assert result.exit_code == 1
    assert "Bob" in result.output
    assert not (tmp_path / "out.wav").exists()


@pytest.fixture
def spoken_with(tmp_path: Path, monkeypatch) -> list[str]:
    """Options that choose a tiny checkpoint, in a home of its own."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    write_tiny_checkpoint(tmp_path / "checkpoint")
    return ["--checkpoint", str(tmp_path / "checkpoint"), "--device", "cpu"]


def diverged(weights):
    weights[next(name for name in weights if "fc1" in name)][0, 0] = float("nan")


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [
        (["say", "Hello."], diverged, "its training diverged"),
        (["serve", "--port", "0"], diverged, "its training diverged"),
        (["say", "Hello."], huge, "no numbers (NaN or infinite)"),
    ],
)
def test_a_checkpoint_of_no_numbers_ends_in_one_sentence(command, change, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    checkpoint = str(broken(tmp_path / "checkpoint", change))
    result = run(*command, "--checkpoint", checkpoint, "--device", "cpu")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert message in result.output
    assert not (tmp_path / "speech.wav").exists()


@pytest.mark.parametrize("command", ["dev", "mlflow", "serve"])
def test_a_port_that_does_not_exist_is_refused(command):
    result = run(command, "--port", "99999")
    assert result.exit_code == 2
    assert "65535" in result.output


def test_the_version_is_told():
    assert run("--version").output.startswith("parler-assets ")


def test_voices_kept_before_are_still_found_and_none_is_replaced(tmp_path):
    workspace = Workspace(recipe="own", folder=str(tmp_path))
    old, new = workspace.root / "voices", workspace.root / "kept_voices"
    (old / "raw_dataset").mkdir(parents=True)  # of a corpus that is called so
    for name in ("ann", "bob"):
        (old / f"{name}.safetensors").write_text("before")
    new.mkdir()
    (new / "bob.safetensors").write_text("since")
    assert kept_in(workspace) == new
    assert {file.stem: file.read_text() for file in new.iterdir()} == {"ann": "before", "bob": "since"}
    assert (old / "raw_dataset").is_dir()
