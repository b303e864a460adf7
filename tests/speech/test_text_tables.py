"""Tables as people's tools write them: siblings of every kind are read rightly, or refused with their line."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from parler_assets.cli.app import app
from parler_assets.recipe import Columns, FolderSource, load_recipe
from parler_assets.speech.sources import SourceError
from parler_assets.speech.sources.folder import open_folder
from parler_assets.speech.sources.speaker_names import speaker_names

HI, BYE = ("001", "Hello, how are you?"), ("002", "Good night.")
TWO = [HI[1], BYE[1]]


def recordings(folder: Path, *names: str) -> Path:
    for name in names or ("001.wav", "002.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * np.sin(np.arange(8000) * 0.1), 16000)
    return folder


def clips(folder: Path, **settings):
    return list(open_folder(FolderSource(kind="folder", path=folder, **settings)).read(0, 99))


READ = {
    "comma, quoted": ("csv", 'file_name,text\n001.wav,"Hello, how are you?"\n002.wav,Good night.\n'),
    "space before a quotation mark": ("csv", 'file_name, text\n001.wav, "Hello, how are you?"\n002.wav, Good night.\n'),
    "semicolon": ("csv", "file_name;text\n001.wav;Hello, how are you?\n002.wav;Good night.\n"),
    "tab in a csv": ("csv", "file_name\ttext\n001.wav\tHello, how are you?\n002.wav\tGood night.\n"),
    "byte order mark": ("csv", "\ufefffile_name;text\n001.wav;Hello, how are you?\n002.wav;Good night.\n"),
    "header in capitals": ("csv", 'File Name,TEXT\n001.wav,"Hello, how are you?"\n002.wav,Good night.\n'),
    "header with spaces": ("csv", ' file-name , Transcript \n001.wav,"Hello, how are you?"\n002.wav,Good night.\n'),
    "commas at the end": ("csv", 'file_name,text\n001.wav,"Hello, how are you?",,\n002.wav,Good night.\n'),
    "an empty row": ("csv", 'file_name,text\n001.wav,"Hello, how are you?"\n,\n\n002.wav,Good night.\n'),
    "no header": ("csv", '001.wav,"Hello, how are you?"\n002.wav,Good night.\n'),
    "text first": ("csv", '"Hello, how are you?",001.wav\nGood night.,002.wav\n'),
    "pipe, header": ("csv", "audio_file|text|speaker_name\n001.wav|Hello, how are you?|c\n002.wav|Good night.|c\n"),
    "pipe, speaker last": ("csv", "001.wav|Hello, how are you?|ann\n002.wav|Good night.|ann\n"),
    "pipe, speaker first": ("csv", "001.wav|ann|Hello, how are you?\n002.wav|ann|Good night.\n"),
    "pipe, number": ("csv", "001.wav|0|Hello, how are you?\n002.wav|0|Good night.\n"),
    "pipe, language": ("csv", "001.wav|ann|EN|Hello, how are you?\n002.wav|ann|EN|Good night.\n"),
    "pipe, LJSpeech": ("csv", "001|Hello, how r u?|Hello, how are you?\n002|Good night.|Good night.\n"),
    "pipe, length": ("csv", "001.wav|1.25|Hello, how are you?\n002.wav|2.5|Good night.\n"),
    "pipe, gender": ("csv", "001.wav|Hello, how are you?|F\n002.wav|Good night.|M\n"),
    "NeMo": ("jsonl", '{"audio_filepath": "001.wav", "duration": 1.5, "text": "Hello, how are you?"}\n'
             '{"text": "Good night.", "audio_filepath": "002.wav", "offset": null}\n'),
    "Common Voice": ("tsv", "client_id\tpath\tsentence\n0a\t001.wav\tHello, how are you?\n0b\t002.wav\tGood night.\n"),
    "absolute path": ("csv", 'file_name,text\n/data/x/001.wav,"Hello, how are you?"\n/data/x/002.wav,Good night.\n'),
    "Windows path": ("csv", 'file_name,text\nC:\\x\\001.wav,"Hello, how are you?"\nC:\\x\\002.wav,Good night.\n'),
    "other case and a space": ("csv", 'file_name,text\n001.WAV ,"Hello, how are you?"\n 002.Wav,Good night.\n'),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_usual_tables_are_read(case: str, tmp_path: Path):
    ending, table = READ[case]
    (recordings(tmp_path) / f"metadata.{ending}").write_text(table, encoding="utf-8")
    found = clips(tmp_path)
    assert [(clip.id, clip.text.strip(), clip.problem) for clip in found] == [(*HI, None), (*BYE, None)]
    assert all(clip.audio for clip in found)


RAGGED = {
    "a comma too many": ("csv", "file_name,text\n001.wav,Hello, how are you?\n002.wav,Good night.\n", "line 2"),
    "later": ("csv", "file_name,text\n002.wav,Good night.\n001.wav,Hello, how are you?\n", "line 3"),
    "before a speaker": (
        "csv",
        "file_name,text,speaker\n002.wav,Good night.,Ann\n001.wav,Hello, how are you?,Ann\n",
        "line 3",
    ),
    "a cell too few": ("csv", "file_name,text,speaker\n002.wav,Good night.,Ann\n001.wav,Hello\n", "line 3"),
    "semicolons": ("csv", "file_name;text\n002.wav;Good night.\n001.wav;Hello; you\n", "line 3"),
    "tabs": ("tsv", "file_name\ttext\n002.wav\tGood night.\n001.wav\tHello\tyou\n", "line 3"),
    "pipes": ("csv", "file|text\n002.wav|Good night.\n001.wav|Hello|you\n", "line 3"),
    "no audio key": ("jsonl", '{"file_name": "002.wav", "text": "Good night."}\n{"text": "Bye"}\n', "no recording"),
}


@pytest.mark.parametrize("case", RAGGED)
def test_a_row_with_a_fault_is_set_aside_and_the_others_are_read(case: str, tmp_path: Path):
    ending, table, said = RAGGED[case]
    (recordings(tmp_path) / f"metadata.{ending}").write_text(table, encoding="utf-8")
    found = {clip.problem is None: clip for clip in clips(tmp_path)}
    assert found[True].text == "Good night."
    assert said in (found[False].problem or "")


REFUSED = {
    "a quotation mark left open": ('file_name,text\n001.wav,"He left.\n002.wav,She stayed"\n', "left open"),
    "two columns of one name": ("file_name,text,text\n001.wav,a,b\n", "two columns"),
    "two texts and a speaker": ("001.wav|Hello there|Good day|ann\n002.wav|Bye now|So long|ann\n", "--column text"),
    "two speakers": ("001.wav|Hello there|ann|studio\n002.wav|Bye now|ben|home\n", "--column"),
    "Latin-1": ("file_name,text\n001.wav,sch\xf6n\n".encode("latin-1"), "UTF-8"),
    "UTF-16": ("file_name,text\n001.wav,a\n".encode("utf-16"), "UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused(case: str, tmp_path: Path):
    table, said = REFUSED[case]
    recordings(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(SourceError, match=said) as refused:
        clips(tmp_path)
    assert "metadata.csv" in str(refused.value)


def test_a_common_voice_table_keeps_its_quotation_marks(tmp_path: Path):
    recordings(tmp_path, "clips/a.wav", "clips/b.wav", "clips/c.wav")
    rows = ["path\tsentence", 'a.wav\t"He left.', "b.wav\tShe stayed.", 'c.wav\tWe "slept"."']
    (tmp_path / "metadata.tsv").write_text("\n".join(rows))
    assert [clip.text for clip in clips(tmp_path)] == ['"He left.', "She stayed.", 'We "slept"."']


def test_columns_can_be_said(tmp_path: Path):
    (recordings(tmp_path) / "metadata.csv").write_text("001.wav|Hello there|Good day|ann\n002.wav|Bye|So long|ann\n")
    columns = Columns(audio="1", text="3", speaker="4")
    assert [(clip.text, clip.speaker) for clip in clips(tmp_path, columns=columns)] == [
        ("Good day", "ann"),
        ("So long", "ann"),
    ]


def test_files_are_found_whatever_their_case_and_unicode_form(tmp_path: Path):
    names = ["001.WAV", unicodedata.normalize("NFD", "Müller.wav"), "Audio/t.wav", "a.b.c.wav", "it's #1.wav"]
    recordings(tmp_path, *names)
    (tmp_path / "._001.WAV").write_bytes(b"litter")
    asked = ["001.wav", unicodedata.normalize("NFC", "Müller.wav"), "audio/t.wav", "A.b.c", "IT'S #1.wav"]
    (tmp_path / "metadata.csv").write_text("file_name,text\n" + "".join(f'"{name}",Hello\n' for name in asked))
    assert [clip.problem for clip in clips(tmp_path)] == [None] * 5


def test_a_name_in_two_folders_is_refused_and_with_its_folder_found(tmp_path: Path):
    recordings(tmp_path, "s1/a.wav", "s2/a.wav")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,x\nD:\\s2\\a.wav,y\ns1/a.wav,z\n")
    first, second, third = clips(tmp_path)
    assert "s1/a.wav or s2/a.wav" in (first.problem or "")
    assert (second.id, third.id, second.problem, third.problem) == ("s2/a", "s1/a", None, None)


def test_two_formats_of_a_name_have_two_ids(tmp_path: Path):
    recordings(tmp_path, "a.wav", "a.flac")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,x\na.flac,y\n")
    assert [clip.id for clip in clips(tmp_path)] == ["a.wav", "a.flac"]


@pytest.mark.parametrize("ending", ["m4a", "aac", "webm", "wma"])
def test_formats_that_are_not_read_name_the_command(ending: str, tmp_path: Path):
    recordings(tmp_path, "b.wav")
    (tmp_path / f"a.{ending}").write_bytes(b"x")
    (tmp_path / "metadata.csv").write_text("file_name,text\na,Hello\nb,Bye\n")
    assert f"ffmpeg -i 'a.{ending}' 'a.flac'" in (clips(tmp_path)[0].problem or "")


NAMES = {
    "Jürgen": "Jürgen", "Zoë": "Zoë", "O'Brien": "O'Brien", "Łukasz": "Łukasz", "Anna-Marie": "Anna-Marie",
    "spk_ann": "Spk Ann", "ann": "Ann", "103": "Speaker 103", "0011": "Speaker 0011", "p225": "P225",
    "spk-1": "Spk 1", "spk_1": "Spk 1 2", "f" * 128: "Speaker 13", "李明": "李明",
}  # fmt: skip


def test_speakers_have_names_that_can_be_said_and_are_never_merged():
    assert speaker_names(NAMES) == NAMES


@pytest.mark.parametrize("name", ["2024 recordings", "录音", "training", "yes", "null", "base", "on", "7", "sample"])
def test_any_folder_name_makes_a_recipe_that_loads(name: str, tmp_path: Path, monkeypatch):
    (recordings(tmp_path / name) / "metadata.csv").write_text("file_name,text\n001.wav,Hello there\n002.wav,Bye\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", name, "--speaker", "Ann", "--gender", "f"])
    assert done.exit_code == 0, done.output
    (file,) = tmp_path.glob("*.yaml")
    assert load_recipe(file).evaluation.speakers == ["Ann"]


def test_many_speakers_are_chosen_evenly_and_the_number_of_sentences_is_said(tmp_path: Path, monkeypatch):
    recordings(tmp_path / "many", *(f"{number}.wav" for number in range(30)))
    rows = "".join(f"{number}.wav,Hello there,{100 + number}\n" for number in range(30))
    (tmp_path / "many" / "metadata.csv").write_text(f"file_name,text,speaker\n{rows}")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "many"])
    assert "8 of 30 speakers are evaluated" in done.output
    assert "24 sentences for each checkpoint" in done.output
    assert len(load_recipe(tmp_path / "many.yaml").evaluation.speakers) == 8
