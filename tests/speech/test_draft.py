"""From somebody's folder of recordings to a recipe that loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import yaml
from typer.testing import CliRunner

from parler_assets.cli.app import app
from parler_assets.recipe import load_recipe
from parler_assets.sample.espeak import RATE, Request, speak
from parler_assets.sample.sentences import sentences
from parler_assets.speech.clips import build_raw_dataset
from tests.support.evaluation_samples import buzz
from tests.support.server import ROOT
from tests.support.tiny_checkpoint import write_tiny_checkpoint


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch) -> Path:
    """Six recordings, two of them by Bob; the third is named but missing."""
    folder = tmp_path / "My Voices"
    folder.mkdir()
    rows = ["file_name,text,speaker_id,emotion,sex"]
    for number in range(6):
        speaker, sex = ("bob_k", "M") if number < 2 else ("ann", "F")
        rows.append(f"{number}.wav,Sentence number {number}.,{speaker},{'sad' if number % 2 else 'happy'},{sex}")
        if number != 3:
            soundfile.write(folder / f"{number}.wav", buzz(120, 1.0), 16000)
    (folder / "metadata.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return folder


def init(*arguments: str):
    return CliRunner().invoke(app, ["init", *arguments])


def test_a_folder_becomes_a_recipe(recordings: Path, tmp_path: Path):
    done = init("My Voices")
    assert done.exit_code == 0, done.output
    assert "5 clips" in done.output
    assert "rows without a recording or text: 1" in done.output
    recipe = load_recipe(tmp_path / "my_voices.yaml")
    corpus = recipe.corpora["my_voices"]
    assert corpus.speaker_names == {"ann": "Ann", "bob_k": "Bob K"}
    assert corpus.genders == {"Ann": "female", "Bob K": "male"}
    assert recipe.evaluation.speakers == ["Ann", "Bob K"]
    assert set(recipe.evaluation.styles) == {"happy", "sad"}
    result = build_raw_dataset(corpus, tmp_path / "raw", recipe.shards, tmp_path / "cache")
    assert (result.manifest.rows, len(result.manifest.set_aside)) == (5, 1)


def test_a_single_speaker_is_named_on_the_command_line(recordings: Path, tmp_path: Path):
    lines = (recordings / "metadata.csv").read_text().splitlines()
    (recordings / "metadata.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in lines))
    refused = init("My Voices")
    assert refused.exit_code == 1
    assert "--speaker" in refused.output
    assert init("My Voices", "--speaker", "Ann", "--gender", "female", "--name", "ann").exit_code == 0
    corpus = load_recipe(tmp_path / "ann.yaml").corpora["ann"]
    assert (corpus.speaker_names, corpus.genders) == ({"": "Ann"}, {"Ann": "female"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "metadata.csv").unlink(), "write a table of texts"),
        (lambda folder: (folder / "metadata.csv").write_text("file_name,words\n0.wav,hello\n"), "'text'"),
        (lambda folder: [file.unlink() for file in folder.glob("*.wav")], "no row has both a recording and a text"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(recordings: Path, spoil, message: str):
    spoil(recordings)
    done = init("My Voices")
    assert done.exit_code == 1
    assert message in done.output
    assert not Path("my_voices.yaml").exists()


def test_a_recipe_is_never_overwritten(recordings: Path):
    assert init("My Voices").exit_code == 0
    again = init("My Voices")
    assert again.exit_code == 1
    assert "exists already" in again.output


def guide() -> list[str]:
    """The commands of docs/own-data.md, block after block."""
    return re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8"), re.DOTALL)


def follow(commands: str, folder: Path) -> str:
    """What a shell says to some commands of the guide, typed in a folder that has this environment as `.venv`."""
    places = {"DAGSTER_HOME": str(folder / "home"), "PARLER_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-ec", commands]
    done = subprocess.run(shell, cwd=folder, env={**os.environ, **places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_leads_to_a_voice_and_a_report(tmp_path: Path):
    """Between init and run only what makes it take seconds is changed: a smaller base, two updates, one short text."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    rows, texts = ["file_name,text,speaker,style,gender"], sentences(12, seed=1)
    for number, samples in enumerate(speak([Request(text, "en-us+f3", pitch=40 + len(text)) for text in texts])):
        rows.append(f"{number:03}.wav,{texts[number]},Ann,{('happy', 'sad')[number % 2]},female")
        soundfile.write(folder / f"{number:03}.wav", samples, RATE)
    (folder / "metadata.csv").write_text("\n".join(rows))
    first, *rest = guide()
    drafted = follow(first, tmp_path)
    assert "12 clips" in drafted
    (program,) = re.findall(r"then: (\S+) run --recipe mine.yaml", drafted)
    assert (tmp_path / program).is_file(), "what is printed can be typed here"
    recipe = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    write_tiny_checkpoint(tmp_path / "small")
    recipe["base"] = {"path": "small"}
    recipe["corpora"]["mine"]["held_out"] = 0.2
    recipe["training"] |= {"max_steps": 2, "batch_size": 4, "effective_batch_size": 4, "evaluate_every": 2}
    recipe["evaluation"] |= {"max_seconds": 0.5, "rates": ["moderate speed"], "texts": texts[:1]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    said = "".join(follow(commands, tmp_path) for commands in rest)
    assert "mine/llm_descriptions" in said
    assert "Listen:" in said
    assert list(tmp_path.rglob("scorecard/report.html"))
