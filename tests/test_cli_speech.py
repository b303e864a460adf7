"""Commands around a checkpoint refuse what they cannot do before anything is loaded, and say what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parler_assets import cli_speech
from parler_assets.cli import app
from parler_assets.recipe import Describing, Evaluation
from parler_assets.speech.audio import decode
from parler_assets.tts.say import Sayer
from tests.test_serve import Tone


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
    sayer = Sayer(Tone(), settings, Describing())
    monkeypatch.setattr(cli_speech, "_sayer", lambda *_: __import__("contextlib").nullcontext(sayer))
    file = tmp_path / f"out.{suffix}"
    result = run("say", "Hello there.", "--voice", "talia", "--style", "happy", "--rate", "quite fast", "-o", str(file))
    assert result.exit_code == 0, result.output
    assert decode(file.read_bytes()).seconds == pytest.approx(12 * 400 / 16000, abs=0.15)
    assert "Talia" in result.output
    assert run("say", "Hello.", "--voice", "Bob", "-o", str(file)).exit_code == 1
