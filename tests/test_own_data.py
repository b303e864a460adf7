"""From somebody's folder of recordings to a recipe that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from parler_assets.cli import app
from parler_assets.recipe import load_recipe
from parler_assets.speech.clips import build_raw_dataset
from tests.evaluation_samples import buzz


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
    assert "1 rows have no recording" in done.output
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
