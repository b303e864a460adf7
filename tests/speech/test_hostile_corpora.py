"""Corpora that somebody else made: a hostile row is set aside; a hostile table, card or file is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from datasets import Dataset, Features, Value

from parler_assets import storage
from parler_assets.recipe import (
    Columns,
    Corpus,
    FolderSource,
    HubSource,
    PublishedDescriptions,
    RecipeError,
    Shards,
    load_recipe,
)
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.descriptions.published import read_published
from parler_assets.speech.sources import SourceError, open_source
from parler_assets.speech.sources.draft import draft_recipe, in_folder
from parler_assets.speech.sources.tables import clips_of
from tests.intake.test_sounds import flac, wav
from tests.support.bounded import outcome
from tests.support.published_corpora import HubCache, hum


def good(path: Path) -> None:
    soundfile.write(path, 0.1 * np.sin(np.arange(8000) * 0.1), 16000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of which `good.wav` can be used, beside a secret one."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    good(folder / "good.wav")
    good(tmp_path / "secret.wav")
    (folder / "out.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "dangling.wav").symlink_to(tmp_path / "absent.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "up").symlink_to("..")
    (folder / "sub.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "claims.flac").write_bytes(flac(2**35))
    (folder / "slow.wav").write_bytes(wav(rate=1, size=2000))
    (folder / "wide.wav").write_bytes(wav(channels=1000, size=20_000))
    (folder / "empty.wav").write_bytes(b"")
    return folder


# Which file a row names, and what is said of it. Whether there is a file elsewhere is never told.
ELSEWHERE = "no other place is read"
FILES = {
    "above": ("../secret.wav", ELSEWHERE),
    "above, absent": ("../absent.wav", ELSEWHERE),
    "absolute": ("/etc/passwd", ELSEWHERE),
    "absolute, absent": ("/etc/no-such-file", ELSEWHERE),
    "through a linked folder": ("up/secret.wav", ELSEWHERE),
    "link out": ("out.wav", ELSEWHERE),
    "link to nothing": ("dangling.wav", ELSEWHERE),
    "link to itself": ("loop.wav", ELSEWHERE),
    "device": ("/dev/zero", ELSEWHERE),
    "link to a device": ("zero.wav", ELSEWHERE),
    "pipe": ("pipe.wav", ELSEWHERE),
    "folder": ("sub.wav", ELSEWHERE),
    "memory of the process": ("/proc/self/mem", ELSEWHERE),
    "NUL": ("good.wav\0.txt", ELSEWHERE),
    "long name": ("x" * 5000, ELSEWHERE),
    "FLAC of 2^35 frames": ("claims.flac", "at most"),
    "WAV at 1 Hz": ("slow.wav", "1 Hz"),
    "WAV of 1000 channels": ("wide.wav", "channels"),
    "nothing in it": ("empty.wav", "cannot be decoded"),
}


def built(folder: Path, columns: Columns | None = None) -> dict[str, str]:
    """Reasons by id of the clips that are set aside, once the good one is stored."""
    chosen = {} if columns is None else {"columns": columns}
    corpus = Corpus(source=FolderSource(kind="folder", path=folder, **chosen))
    raw = build_raw_dataset(corpus, folder.parent / "raw", Shards(), folder.parent / "cache")
    assert storage.read(raw.folder)["text"].to_pylist() == ["the good one"]
    return {row.id: row.reason for row in raw.manifest.set_aside}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("table", ["jsonl", "saved"])
def test_a_hostile_row_is_set_aside_and_the_others_are_read(case: str, table: str, folder: Path):
    name, reason = FILES[case]
    names = [name, "good.wav"]
    if table == "jsonl":
        texts = ("bad", "the good one")
        rows = [{"file_name": n, "text": t, "id": i} for n, t, i in zip(names, texts, "ab", strict=True)]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        save(folder, [{"bytes": None, "path": name} for name in names], ["bad", "the good one"])
    kind, said = outcome(built, folder, Columns(id="id", audio="audio") if table == "saved" else None)
    assert kind == "read", said
    assert reason in said
    assert said.startswith("{'a': ")


def save(folder: Path, audio: list[dict], texts: list) -> None:
    features = Features(
        id=Value("string"), text=Value("string"), audio={"bytes": Value("binary"), "path": Value("string")}
    )
    data = {"id": list("ab")[: len(texts)], "text": texts, "audio": audio}
    Dataset.from_dict(data, features=features).save_to_disk(str(folder / "saving"))
    for file in (folder / "saving").iterdir():
        file.rename(folder / file.name)


@pytest.mark.parametrize("field", ["text", "speaker", "style", "gender", "id"])
@pytest.mark.parametrize("value", ["a\0b", "a\ud800b", "\udfff"], ids=["NUL", "high half", "low half"])
def test_characters_that_cannot_be_stored_set_their_row_aside(field: str, value: str, folder: Path):
    whole = {"file_name": "good.wav", "text": "the good one", "speaker": "s", "style": "x", "gender": "f", "id": "b"}
    rows = [whole | {"text": "bad", "id": "a", field: value}, whole]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (reason,) = built(folder, Columns(speaker="speaker", style="style", gender="gender", id="id")).values()
    assert f"unusable {field}" in reason


TABLES = {
    "rows that are no objects": ("metadata.jsonl", '{"file_name": "good.wav", "text": "a"}\n[1]\n', "line 2"),
    "rows of text": ("metadata.jsonl", '"good.wav"\n', "line 1"),
    "deep": ("metadata.jsonl", "[" * 50_000, "line 1"),
    "digits": ("metadata.jsonl", '{"file_name": "good.wav", "text": ' + "9" * 5000 + "}", "line 1"),
    "cut": ("metadata.jsonl", '{"file_name": "good.wav", "text"', "line 1"),
    "an open quotation mark": ("metadata.csv", 'file_name,text\ngood.wav,"' + "a\n" * 600_000, "quotation mark"),
    "a cell that is a list": ("metadata.jsonl", '{"file_name": "good.wav", "text": ["a"]}\n', "line 1: column text"),
    "many columns": ("metadata.csv", ",".join(f"c{n}" for n in range(5000)) + "\n1,2\n", "columns"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_hostile_table_is_refused_by_file_and_line(case: str, folder: Path):
    file, content, said = TABLES[case]
    (folder / file).write_text(content)
    with pytest.raises(SourceError, match=said) as refused:
        built(folder)
    assert file in str(refused.value)
    assert len(str(refused.value)) < 600


# ----------------------------------------------------------------------------------------------------------------- Hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> HubCache:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return HubCache(tmp_path / "hub")


def published(cache: HubCache, card: str) -> Path:
    table = pa.table({"text": ["hello"] * 4, "audio": [hum(row, 16000) for row in range(4)]})
    commit = cache.add("someone/set", {"data/train.parquet": table, "README.md": card})
    return cache.folder / "datasets--someone--set" / "snapshots" / commit / "data" / "train.parquet"


def ids(tmp_path: Path) -> list[str]:
    source = HubSource(kind="hub", repo="someone/set", columns=Columns(id=None))
    corpus = open_source(Corpus(source=source), tmp_path / "cache")
    return [clip.id for clip in corpus.read(0, len(corpus.ids()))]


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
CARDS = {
    "aliases": (f"---\n{BOMB}---\n", "refused"),
    "deep": (f"---\na: {'[' * 50_000}\n---\n", "refused"),
    "digits": (f"---\na: {'9' * 5000}\n---\n", "refused"),
    "objects": ("---\na: !!python/object/apply:os.system [true]\n---\n", "refused"),
    "a list": ("---\n- a\n---\n", "refused"),
    "dashes and newlines": ("---" + "\n" * 1_000_000, "read"),
    "never ended": ("---\n" + "a: b\n" * 100_000, "read"),
    "configs of another kind": ("---\nconfigs: 7\ndataset_info: [1, [2]]\n---\n", "read"),
    "negative rows": ("---\ndataset_info: {splits: [{name: train, num_examples: -5}]}\n---\n", "read"),
    "files elsewhere": ("---\nconfigs: [{data_files: ../../../../etc/passwd}]\n---\n", "read"),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_hostile_card_is_refused_or_says_nothing(case: str, cache: HubCache, tmp_path: Path):
    card, expected = CARDS[case]
    published(cache, card)
    kind, said = outcome(ids, tmp_path)
    if expected == "read":
        assert (kind, said) == ("read", repr([f"row-000000{row}" for row in range(4)]))
    else:
        assert kind == "raised", said
        assert "SourceError" in said
        assert "README.md of someone/set" in said


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "no Parquet": lambda data: b"not a Parquet file at all",
    "footer of another length": lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
    "footer of zeros": lambda data: data[:-200] + b"\0" * 192 + data[-8:],
    "pages of zeros": lambda data: data[:4] + b"\0" * (len(data) // 2) + data[4 + len(data) // 2 :],
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_parquet_is_named_with_its_remedy(case: str, cache: HubCache, tmp_path: Path):
    file = published(cache, "")
    file.write_bytes(DAMAGE[case](file.read_bytes()))
    with pytest.raises(SourceError, match="not readable as Parquet") as refused:
        ids(tmp_path)
    assert str(file) in str(refused.value)
    assert "materialize again" in str(refused.value)


@pytest.mark.parametrize("read", ["names", "rows"])
def test_parquet_that_grows_beyond_a_limit_is_refused_before_it_is_read(read, cache: HubCache, tmp_path, monkeypatch):
    """64 MB of zeros in a file of a few KB, and a limit below them."""
    monkeypatch.setattr("parler_assets.speech.sources.parquet.MOST", 1 << 20)
    table = pa.table({"text": ["a" * (1 << 26)], "audio": [b"\0" * (1 << 26)]})
    cache.add("someone/set", {"data/train.parquet": table})
    corpus = open_source(Corpus(source=HubSource(kind="hub", repo="someone/set", columns=Columns(id=None))), tmp_path)
    with pytest.raises(SourceError, match="smaller row groups"):
        corpus.ids() if read == "names" else list(corpus.read(0, 1))


LONG = "x" * (1 << 20)
EXPANDING: dict[str, Callable[[Path], object]] = {
    "a dictionary": lambda path: pq.write_table(repeated(), path),
    "a dictionary that its schema hides": lambda path: pq.write_table(repeated(), path, store_schema=False),
    "like beginnings": lambda path: pq.write_table(
        pa.table({"id": [*"ab" * 50], "text_description": [f"{LONG}{n}" for n in range(100)]}),
        path, use_dictionary=False, column_encoding={"text_description": "DELTA_BYTE_ARRAY", "id": "PLAIN"},
    ),
    "lists": lambda path: pq.write_table(
        pa.table({"id": ["a"], "text_description": pa.array([[None] * 100_000], pa.list_(pa.null()))}), path
    ),
    "lists in objects": lambda path: pq.write_table(pa.table({"id": ["a"], "text_description": [{"a": [1]}]}), path),
    "a map": lambda path: pq.write_table(
        pa.table({"id": ["a"], "text_description": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8()))}), path
    ),
    "many parts": lambda path: pq.write_table(
        pa.table({"id": ["a"], "text_description": [{f"a{n}": 1 for n in range(100)}]}), path
    ),
    "deep": lambda path: pq.write_table(pa.table({"id": ["a"], "text_description": pa.nulls(1, deep(300))}), path),
}  # fmt: skip


def repeated() -> pa.Table:
    """Gibibytes of one text in a file of a few KB."""
    rows = 2_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LONG]))
    return pa.table({"id": [str(row) for row in range(rows)], "text_description": texts})


def deep(levels: int) -> pa.DataType:
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.struct([("a", kind)])
    return kind


@pytest.mark.parametrize("case", EXPANDING)
def test_parquet_whose_values_repeat_or_nest_is_refused(case: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("parler_assets.speech.sources.parquet.EXPANDED", 1 << 25)
    monkeypatch.setattr("parler_assets.speech.sources.parquet.BATCH", 1 << 24)
    table = tmp_path / "descriptions.parquet"
    EXPANDING[case](table)
    assert table.stat().st_size < 1 << 18
    settings = PublishedDescriptions(kind="published", path=table)
    corpus = Corpus(source=FolderSource(kind="folder", path=tmp_path), descriptions=settings)
    kind, said = outcome(read_published, corpus, tmp_path)
    assert kind == "raised", said
    assert said.startswith("DescriptionError(")
    assert str(table) in said
    assert ("deep" in case) or "smaller row groups" in said or "nested" in said


@pytest.mark.parametrize("features", ["[" * 50_000, '{"info": {"features": {"speaker": {"_type": "Evil"}}}}', "x"])
def test_features_that_lie_are_refused(features: str):
    schema = pa.schema([("speaker", pa.int64())], metadata={"huggingface": features})
    table = pa.table({"speaker": [1], "text": ["a"], "audio": [b""]}).replace_schema_metadata(schema.metadata)
    with pytest.raises(SourceError, match="features stored in its schema"):
        next(clips_of(table, {"speaker": "speaker", "text": "text", "audio": "audio"}, 0))


# --------------------------------------------------------------------------------------------------------------- names

NAMES = [
    "![b](http://127.0.0.1/x)",
    "<img src=x>",
    "{{ 7 }}",
    "a\nb",
    "a|b",
    "x" * 41,
    "\u202eevil",
    "a, who says b",
    "-",
]


@pytest.mark.parametrize(
    ("key", "value"),
    [*((key, value) for key in ("styles", "speakers") for value in NAMES), ("speakers", ""), ("speakers", " ")],
)
def test_a_name_that_no_description_can_hold_is_refused_at_load(key: str, value: str, tmp_path: Path):
    shipped = resources.files("parler_assets.recipe") / "shipped" / "expresso.yaml"
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    content["evaluation"][key] = [value]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match=rf"evaluation\.{key}") as refused:
        load_recipe(tmp_path / "own.yaml")
    assert "cannot be said in a description" in str(refused.value)


@pytest.mark.parametrize("value", NAMES)
def test_a_style_that_no_description_can_hold_is_left_out_of_a_draft(value: str, folder: Path, tmp_path: Path):
    rows = [{"file_name": "good.wav", "text": "a", "speaker": "ann", "style": style} for style in (value, "happy")]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft = draft_recipe(
        in_folder(folder, tmp_path, FolderSource(kind="folder", path=folder)), "folder", "own", None, None
    )
    assert list(draft.styles) == ["happy"]
    assert any("cannot be said" in remark for remark in draft.remarks)
    (tmp_path / "own.yaml").write_text(draft.text)
    assert load_recipe(tmp_path / "own.yaml").evaluation.styles == ["happy"]


def test_a_speaker_that_cannot_be_said_gets_a_name_and_is_said(folder: Path, tmp_path: Path):
    (folder / "metadata.jsonl").write_text('{"file_name": "good.wav", "text": "a", "speaker": "' + "x" * 41 + '"}\n')
    draft = draft_recipe(
        in_folder(folder, tmp_path, FolderSource(kind="folder", path=folder)), "folder", "own", None, None
    )
    assert draft.speakers == ["Speaker 1"]
    assert any("is Speaker 1" in remark for remark in draft.remarks)
