"""Sources of clips: published layouts on the Hub, folders of recordings, and what happens when they are not as told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from datasets import Audio, Dataset, DatasetDict

from parler_assets.hub import revisions
from parler_assets.recipe import Columns, Corpus, FolderSource, HubSource, load_recipe
from parler_assets.speech.sources import SourceError, open_source
from parler_assets.speech.sources.hub import current_revision
from tests.support import published_corpora
from tests.support.published_corpora import STYLES, HubCache, hum


@pytest.fixture
def cache(tmp_path, monkeypatch) -> HubCache:
    """The Hub's cache, filled, and no way to the Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return HubCache(tmp_path / "hub")


def open_recipe_source(name: str, tmp_path: Path):
    return open_source(load_recipe("expresso").corpora[name], tmp_path / "cache")


def hub(**settings) -> Corpus:
    return Corpus(source=HubSource(kind="hub", **settings))


# ----------------------------------------------------------------------------------------------------------------- Hub


def test_expresso_as_published(cache, tmp_path):
    commit = published_corpora.expresso(cache)
    source = open_recipe_source("expresso", tmp_path)
    clips = list(source.read(0, 22))
    assert source.commit == commit
    assert source.ids() == [clip.id for clip in clips]
    assert clips[0].id == "ex01_confused_00001"
    assert {clip.style for clip in clips} == set(STYLES)
    assert clips[0].text == "*Blimy* are you threatening me?"
    assert clips[4].audio == hum(4, 48000), "bytes as published"
    assert [clip.speaker for clip in clips[:4]] == ["ex01", "ex02", "ex03", "ex04"]


def test_any_range_of_rows_is_the_same_rows(cache, tmp_path):
    """Across row groups of three and files of eleven."""
    published_corpora.expresso(cache)
    source = open_recipe_source("expresso", tmp_path)
    whole = list(source.read(0, 22))
    for start in range(0, 22, 5):
        assert list(source.read(start, start + 5)) == whole[start : start + 5]
    assert list(source.read(20, 99)) == whole[20:]


def test_a_slice_fetches_only_the_files_it_needs(cache, tmp_path):
    """20 % of 20 rows lie in the first file; the second was never fetched."""
    published_corpora.jenny(cache)
    clips = list(open_recipe_source("jenny", tmp_path).read(0, 100))
    assert [clip.id for clip in clips] == [f"wavs/{index}.wav" for index in range(4)]
    assert clips[0].speaker is None
    assert clips[0].text == "*blimy* are you threatening me?"


@pytest.mark.parametrize(("name", "rows"), [("libritts_clean", 5), ("libritts_other", 4)])
def test_split_names_with_dots(cache, tmp_path, name, rows):
    published_corpora.libritts(cache)
    source = open_recipe_source(name, tmp_path)
    assert len(source.ids()) == rows
    assert next(source.read(1, 2)).id == "62_70968_000001_000000"


@pytest.mark.parametrize(
    ("split", "rows"), [("train[5:8]", [5, 6, 7]), ("train[-2:]", [20, 21]), ("train[:1]+train[3:4]", [0, 3])]
)
def test_slices_mean_what_they_mean_in_datasets(cache, tmp_path, split, rows):
    published_corpora.expresso(cache)
    settings = {"repo": "ylacombe/expresso", "config": "read", "columns": Columns()}
    every = open_source(hub(**settings), tmp_path).ids()
    assert open_source(hub(**settings, split=split), tmp_path).ids() == [every[row] for row in rows]


def test_class_numbers_become_names_and_scripts_never_run(cache, tmp_path):
    published_corpora.numbered(cache)
    source = open_source(hub(repo="someone/numbered", columns=Columns(id=None, speaker="speaker")), tmp_path)
    assert [(clip.id, clip.speaker) for clip in source.read(1, 3)] == [("row-0000001", "Ben"), ("row-0000002", "Ann")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"config": "write"}, "no Parquet files of config 'write'.*offers read"),
        ({"config": "read", "split": "test"}, "split 'test'"),
        ({"config": "read", "split": "train[:x]"}, "split"),
        ({"config": "read", "columns": Columns(text="words")}, "no column 'words'.*columns.text"),
        ({"config": "read", "columns": Columns(style="mood")}, "no column 'mood'.*columns.style"),
        ({"repo": "nobody/nothing"}, "never fetched"),
    ],
)
def test_what_a_recipe_has_wrong_is_said(cache, tmp_path, settings, message):
    published_corpora.expresso(cache)
    with pytest.raises(SourceError, match=message):
        open_source(hub(**{"repo": "ylacombe/expresso"} | settings), tmp_path).ids()


def test_a_missing_file_names_itself(cache, tmp_path):
    published_corpora.jenny(cache)
    source = hub(repo="reach-vb/jenny_tts_dataset", columns=Columns(id="file_name", text="transcription"))
    (tmp_path / "hub" / "datasets--reach-vb--jenny_tts_dataset").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="never fetched"):
        open_source(source, tmp_path).ids()


def test_a_branch_is_asked_for_and_its_answer_kept(cache, tmp_path, monkeypatch):
    commit = published_corpora.expresso(cache)
    answers = iter([commit])

    def ask(repo: str, revision: str, kind: str) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise ConnectionError("gone") from None

    monkeypatch.setattr(revisions, "ask_commit", ask)
    corpus = hub(repo="ylacombe/expresso", config="read")
    first = open_source(corpus, tmp_path / "cache")
    assert first.fingerprint
    (tmp_path / "hub" / "datasets--ylacombe--expresso" / "refs" / "main").unlink()
    second = open_source(corpus, tmp_path / "cache")
    assert (second.commit, second.fingerprint) == (commit, first.fingerprint)


def test_a_commit_needs_no_question():
    source = HubSource(kind="hub", repo="a/b", revision="0123456789" * 4)
    assert current_revision(source) == "0123456789" * 4


def test_offline_in_a_process_of_its_own(cache, tmp_path):
    """HF_HUB_OFFLINE and HF_HUB_CACHE as a user sets them."""
    published_corpora.expresso(cache)
    program = (
        "from pathlib import Path; from parler_assets.recipe import load_recipe\n"
        "from parler_assets.speech.sources import open_source\n"
        "print(len(open_source(load_recipe('expresso').corpora['expresso'], Path('cache')).ids()))"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "22"


# -------------------------------------------------------------------------------------------------------------- folder


def recordings(folder: Path, names: list[str], rate: int = 16000) -> Path:
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.sin(np.arange(rate // 2) * (0.05 + 0.01 * index)), rate)
    return folder


def folder_corpus(path: Path, **settings) -> Corpus:
    return Corpus(source=FolderSource(kind="folder", path=path, **settings))


TABLES = {
    "metadata.csv": 'file_name,text,speaker_id\na.wav,"Hello, you.\nAnd you.",ann\nb.flac,Bye,ben\n',
    "metadata.tsv": "file_name\ttext\tspeaker_id\na.wav\tHello, you.\tann\nb.flac\tBye\tben\n",
    "metadata.jsonl": '{"file_name": "a.wav", "text": "Hello\\u2028you", "speaker": "ann"}\n'
    '{"file_name": "b", "text": "Bye", "speaker": "ben"}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_texts(tmp_path, name):
    recordings(tmp_path, ["a.wav", "b.flac"])
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    clips = list(open_source(folder_corpus(tmp_path), tmp_path).read(0, 9))
    assert [(clip.id, clip.speaker, clip.problem) for clip in clips] == [("a", "ann", None), ("b", "ben", None)]
    assert clips[0].text.startswith("Hello")
    assert clips[1].audio == (tmp_path / "b.flac").read_bytes()


@pytest.mark.parametrize("columns", [2, 3])
def test_ljspeech(tmp_path, columns):
    recordings(tmp_path, ["wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"])
    lines = ["LJ001-0001|Dr. Who, 1st|Doctor Who, first", 'LJ001-0002|"Quoted" it|"Quoted" it']
    (tmp_path / "metadata.csv").write_text("\n".join("|".join(line.split("|")[:columns]) for line in lines))
    clips = list(open_source(folder_corpus(tmp_path), tmp_path).read(0, 9))
    assert [clip.id for clip in clips] == ["LJ001-0001", "LJ001-0002"]
    assert clips[0].text == ("Doctor Who, first" if columns == 3 else "Dr. Who, 1st")
    assert clips[1].text == '"Quoted" it'
    assert all(clip.audio for clip in clips)


def test_own_columns_and_a_table_elsewhere(tmp_path):
    recordings(tmp_path / "sounds", ["x/1.ogg"], 22050)
    table = tmp_path / "texts.csv"
    table.write_text("name,wav,words,who,mood,sex\nfirst,x/1.ogg,Hello,ann,happy,female\n")
    columns = Columns(id="name", audio="wav", text="words", speaker="who", style="mood", gender="sex")
    source = open_source(folder_corpus(tmp_path / "sounds", metadata=table, columns=columns), tmp_path)
    clip = next(source.read(0, 1))
    assert (clip.id, clip.text, clip.speaker, clip.style, clip.gender) == ("first", "Hello", "ann", "happy", "female")


def test_a_recording_that_is_missing_has_a_reason(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,text\ngone.wav,Hello\n")
    assert "gone.wav" in next(open_source(folder_corpus(tmp_path), tmp_path).read(0, 1)).problem


def test_an_edited_file_changes_the_fingerprint(tmp_path):
    recordings(tmp_path, ["a.wav"])
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,Hello\n")
    before = open_source(folder_corpus(tmp_path), tmp_path).fingerprint
    assert open_source(folder_corpus(tmp_path), tmp_path).fingerprint == before
    recordings(tmp_path, ["a.wav"], rate=8000)
    assert open_source(folder_corpus(tmp_path), tmp_path).fingerprint != before
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,Hello there\n")
    assert open_source(folder_corpus(tmp_path), tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "write a table of texts"),
        ({"metadata.csv": "file_name,words\na.wav,hi\n"}, "no column 'text'"),
        ({"metadata.csv": ""}, "no rows"),
        ({"metadata.jsonl": '{"file_name": \n'}, "cannot be read as a table"),
        ({"metadata.jsonl": '{"file_name": "a", "text": ["x"]}\n'}, "line 1: column text holds list"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message):
        open_source(folder_corpus(tmp_path), tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(SourceError, match="no such folder"):
        open_source(folder_corpus(tmp_path / "nowhere"), tmp_path)


# ------------------------------------------------------------------------------------------------------- save_to_disk


def saved(rows: range) -> Dataset:
    data = {
        "id": [f"clip {row}" for row in rows],
        "text": ["hello"] * len(rows),
        "audio": [{"bytes": hum(row, 16000), "path": None} for row in rows],
    }
    return Dataset.from_dict(data).cast_column("audio", Audio(sampling_rate=16000))


@pytest.mark.parametrize("splits", [False, True])
def test_saved_data_sets(tmp_path, splits):
    data = DatasetDict({"train": saved(range(3)), "test": saved(range(3, 5))}) if splits else saved(range(5))
    data.save_to_disk(str(tmp_path / "set"))
    source = open_source(folder_corpus(tmp_path / "set"), tmp_path)
    assert source.ids() == [f"clip {row}" for row in range(5)]
    assert [clip.audio for clip in source.read(2, 4)] == [hum(2, 16000), hum(3, 16000)]


def test_a_damaged_saved_set_says_so(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({}))
    with pytest.raises(SourceError, match="not readable as a saved data set"):
        open_source(folder_corpus(tmp_path), tmp_path).ids()
