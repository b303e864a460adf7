"""Folders without a table: texts beside sounds, values in names and folders, and data sets on the Hub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from typer.testing import CliRunner

from parler_assets.cli.app import app
from parler_assets.recipe import FolderSource, HubSource, load_recipe
from parler_assets.recipe.patterns import PATTERNS
from parler_assets.speech.sources.folder import open_folder
from parler_assets.speech.sources.named import named
from tests.support import published_corpora
from tests.support.published_corpora import HubCache


def write(folder: Path, *sounds: str, **texts: str) -> Path:
    """Sounds of half a second, and text files by `name=content` (`__` stands for a folder, `_dot_` for a dot)."""
    for name in sounds:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * np.sin(np.arange(8000) * 0.1), 16000)
    for name, content in texts.items():
        file = folder / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def clips(folder: Path, **settings):
    return list(open_folder(FolderSource(kind="folder", path=folder, **settings)).read(0, 99))


BESIDE = {
    "txt": (["a.wav", "b.wav"], {"a_dot_txt": "One.\n", "b_dot_txt": "Two."}),
    "lab": (["a.wav", "b.wav"], {"a_dot_lab": "One.", "b_dot_lab": "Two."}),
    "normalized before original": (
        ["a.wav", "b.wav"],
        {"a_dot_normalized_dot_txt": "One.", "a_dot_original_dot_txt": "1.", "b_dot_txt": "Two."},
    ),
    "lines of one text": (["a.wav", "b.wav"], {"a_dot_txt": "\n One.  \n", "b_dot_txt": "Two.\r\n"}),
    "texts in a folder of their own": (
        ["wav/a.wav", "wav/b.wav"],
        {"txt__a_dot_txt": "One.", "txt__b_dot_txt": "Two."},
    ),
    "a folder a speaker in both trees": (
        ["wavs/ann/a.wav", "wavs/ben/b.wav"],
        {"txt__ann__a_dot_txt": "One.", "txt__ben__b_dot_txt": "Two."},
    ),
    "capitals": (["a.WAV", "b.wav"], {"A_dot_TXT": "One.", "b_dot_txt": "Two."}),
    "LibriSpeech's list": (["84/a.flac", "84/b.flac"], {"84__84_dot_trans_dot_txt": "a One.\nb Two.\n"}),
    "a list with tabs": (["a.wav", "b.wav"], {"all_dot_txt": "a\tOne.\nb\tTwo.\n"}),
    "Festival's list": (["wav/a.wav", "wav/b.wav"], {"etc__txt_dot_done_dot_data": '( a "One." )\n( b "Two." )\n'}),
}


@pytest.mark.parametrize("case", BESIDE)
def test_texts_beside_sounds_are_read(case: str, tmp_path: Path):
    sounds, texts = BESIDE[case]
    found = clips(write(tmp_path, *sounds, **texts))
    assert [(clip.text, clip.problem) for clip in found] == [("One.", None), ("Two.", None)]
    assert all(clip.audio for clip in found)


LOST = {
    "no text": (["b.wav"], {}, "text"),
    "times and labels": (["b.wav"], {"b_dot_lab": "0 1200000 sil\n1200000 2400000 t\n"}, "times and labels"),
    "two that may be it": (
        ["x/b.wav"], {"p__x__b_dot_txt": "Two.", "q__x__b_dot_txt": "2."}, "text"),
    "too long": (["b.wav"], {"b_dot_txt": "word " * 20_000}, "b.txt"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_a_recording_without_a_certain_text_is_set_aside_and_the_others_read(case: str, tmp_path: Path):
    sounds, texts, told = LOST[case]
    found = {clip.id: clip for clip in clips(write(tmp_path, "a.wav", *sounds, a_dot_txt="One.", **texts))}
    assert found.pop("a").text == "One."
    (lost,) = found.values()
    assert lost.problem is not None
    assert told in lost.problem


NAMES = {
    "ravdess": ("Actor_12/03-01-06-01-02-01-12.wav", {"speaker": "12", "style": "fearful", "gender": "female"}),
    "crema-d": (
        "AudioWAV/1001_DFA_ANG_XX.wav",
        {"speaker": "1001", "style": "angry", "text": "Don't forget a jacket."},
    ),
    "emo-db": ("wav/03a01Wa.wav", {"speaker": "03", "style": "angry", "gender": "male"}),
    "vctk": ("wav48_silence_trimmed/p225/p225_001_mic1.flac", {"speaker": "p225"}),
    "vctk-0.80": ("wav48/p225/p225_001.wav", {"speaker": "p225"}),
    "esd": ("0011/Angry/0011_000351.wav", {"speaker": "0011"}),
    "libritts": ("84/121123/84_121123_000007_000001.wav", {"speaker": "84"}),
    "{speaker}/{style}/{id}": ("x/Ann/sad/1.wav", {"speaker": "Ann", "style": "sad"}),
    "{style}_{speaker}_*": ("sad_Ann_0007.wav", {"style": "sad", "speaker": "Ann"}),
    "{speaker}/{speaker}_{text}": ("Ann/Ann_good_night.wav", {"speaker": "Ann", "text": "good night"}),
    "{gender}/{age}/{accent}/*": ("F/30/scots/1.wav", {"gender": "F", "age": "30", "accent": "scots"}),
}


@pytest.mark.parametrize("pattern", NAMES)
def test_names_and_folders_say_what_their_pattern_says(pattern: str, tmp_path: Path):
    path, values = NAMES[pattern]
    said = named(path, FolderSource(kind="folder", path=tmp_path, pattern=pattern))
    assert said is not None
    assert said.problem is None
    assert {**said.values, **values} == said.values


def test_every_known_corpus_has_its_line_in_this_table():
    assert PATTERNS.keys() <= NAMES.keys()


def test_what_a_part_means_may_be_said_and_what_it_does_not_mean_is_set_aside(tmp_path: Path):
    folder = write(tmp_path, "A_1.wav", "W_2.wav", A_1_dot_txt="One.", W_2_dot_txt="Two.")
    found = clips(folder, pattern="{style}_*", values={"style": {"A": "angry"}})
    assert [clip.style for clip in found if clip.problem is None] == ["angry"]
    (lost,) = [clip.problem for clip in found if clip.problem]
    assert "'W' is none of A: see values.style" in lost


@pytest.mark.parametrize("bad", ["", "/", "plain", "{who}/{id}", "{speaker", "{speaker:}", "{}", "x" * 400, "{id:123}"])
def test_a_pattern_that_is_none_is_refused_where_it_is_read(bad: str, tmp_path: Path):
    with pytest.raises(ValidationError, match="pattern"):
        FolderSource(kind="folder", path=tmp_path, pattern=bad)


def test_a_pattern_that_would_take_for_ever_is_given_up(tmp_path: Path):
    said = named("a" * 240 + ".wav", FolderSource(kind="folder", path=tmp_path, pattern="*a" * 30 + "{id}b"))
    assert said is not None
    assert "use fewer * in it" in (said.problem or "")


def test_init_drafts_from_texts_beside_sounds_and_speakers_by_folders(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{who}/{style}/{n}" for who in ("Ann", "Ben") for style in ("happy", "sad") for n in (1, 2)]
    write(tmp_path / "rec", *(f"{name}.wav" for name in names))
    for name in names:
        (tmp_path / "rec" / f"{name}.txt").write_text("The train leaves at noon.")
    said = CliRunner().invoke(app, ["init", "rec", "--name", "own"])
    assert said.exit_code == 0, said.output
    assert "{speaker}/{style}/{id}" in said.output
    corpus = load_recipe(tmp_path / "own.yaml").corpora["own"]
    assert isinstance(corpus.source, FolderSource)
    assert corpus.source.pattern == "{speaker}/{style}/{id}"
    assert set(corpus.speaker_names) == {"Ann", "Ben"}
    assert {(clip.speaker, clip.style) for clip in open_folder(corpus.source).read(0, 99)} == {
        (who, style) for who in ("Ann", "Ben") for style in ("happy", "sad")
    }


HUB = {
    "expresso": ("hf://ylacombe/expresso", [], {"config": "read", "split": "train"}, {"speaker": "speaker_id"}),
    "jenny": ("hf://reach-vb/jenny_tts_dataset", ["--speaker", "Jenny", "--column", "text=transcription"],
              {"config": "default"}, {"text": "transcription"}),
    "libritts": ("hf://blabble-io/libritts_r:clean/test.clean", ["--column", "text=text_normalized"],
                 {"config": "clean", "split": "test.clean"}, {"speaker": "speaker_id", "text": "text_normalized"}),
}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> HubCache:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return HubCache(tmp_path / "hub")


@pytest.mark.parametrize("name", HUB)
def test_init_drafts_from_a_data_set_on_the_hub(name: str, cache: HubCache, tmp_path: Path):
    address, options, chosen, columns = HUB[name]
    getattr(published_corpora, name)(cache)
    said = CliRunner().invoke(app, ["init", address, "--name", "own", *options])
    assert said.exit_code == 0, said.output
    source = load_recipe(tmp_path / "own.yaml").corpora["own"].source
    assert isinstance(source, HubSource)
    assert {**source.model_dump(), **chosen} == source.model_dump()
    assert {**source.columns.model_dump(), **columns} == source.columns.model_dump()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("hf://libritts", "write hf://owner/name"),
        ("hf://blabble-io/libritts_r", "choose one"),
        ("hf://blabble-io/libritts_r:clean/nosuch", "nosuch"),
        ("hf://nobody/nothing", "nothing"),
        *(
            (f"hf://{name}", "write hf://owner/name")
            for name in ("../../etc", "a--b/c", "a/b.git", "a/.b", "a/b c", "")
        ),
    ],
)
def test_what_cannot_be_seen_on_the_hub_is_asked_for(address: str, told: str, cache: HubCache, tmp_path: Path):
    published_corpora.libritts(cache)
    said = CliRunner().invoke(app, ["init", address, "--name", "own"])
    assert said.exit_code != 0
    assert told in said.output
    assert not (tmp_path / "own.yaml").exists()
