"""Commands around a checkpoint refuse what they cannot do before anything is loaded, and say what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parler_assets.cli import speak as cli_speech
from parler_assets.cli.app import app
from parler_assets.recipe import Describing, Evaluation
from parler_assets.speech.audio import decode
from parler_assets.tts.serving.synthesizer import Synthesizer
from tests.tts.test_serve import PER_CHARACTER, Tone, broken, huge


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", "Hello.", "-o", "speech.txt"], "choose the format by its suffix"),
        (["compare", "nowhere", "nowhere"], "neither a checkpoint"),
        (["say", "Hello.", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_ends_with_its_remedy(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_say_writes_the_format_of_the_suffix(suffix, tmp_path: Path, monkeypatch):
    settings = Evaluation(speakers=["Jerry", "Talia"], styles=["default", "happy"])
    sayer = Synthesizer(Tone(), settings, Describing())
    monkeypatch.setattr(cli_speech, "_sayer", lambda *_: __import__("contextlib").nullcontext(sayer))
    file = tmp_path / f"out.{suffix}"
    result = run("say", "Hello there.", "--voice", "talia", "--style", "happy", "--rate", "quite fast", "-o", str(file))
    assert result.exit_code == 0, result.output
    assert decode(file.read_bytes()).seconds == pytest.approx(12 * PER_CHARACTER / 16000, abs=0.15)
    assert "Talia" in result.output
    assert run("say", "Hello.", "--voice", "Bob", "-o", str(file)).exit_code == 1


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
