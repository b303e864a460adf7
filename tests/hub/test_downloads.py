"""Downloads from a Hub that fails half-way: nothing half is used, nothing fetched is lost, and the message helps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from parler_assets import storage
from parler_assets.recipe import Base, load_recipe
from parler_assets.recipe import Shards as ShardSettings
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.sources import SourceError
from parler_assets.tts.base import BaseError, fetch_base
from parler_assets.tts.model.tokenizers import copy_tokenizers, load_tokenizers
from tests.support import published_corpora
from tests.support.published_corpora import HubCache
from tests.support.standin_hub import Repository, StandinHub, standin_hub
from tests.support.tiny_checkpoint import write_tiny_checkpoint

CORPUS = load_recipe("expresso").corpora["expresso"]
FIRST, SECOND = (f"read/train-0000{part}-of-00002.parquet" for part in range(2))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[StandinHub]:
    """Expresso as published on a Hub over HTTP, an empty cache, and no waiting between attempts."""
    published_corpora.expresso(HubCache(tmp_path / "origin"))
    (snapshot,) = tmp_path.glob("origin/datasets--ylacombe--expresso/snapshots/*")
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)  # what a cut loses: 10 MB else
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        publish(hub, "datasets/ylacombe/expresso", snapshot)
        yield hub


def publish(hub: StandinHub, key: str, folder: Path) -> None:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.repositories[key] = Repository(files=files)
    hub.repositories[key].commit("published")


def build(folder: Path) -> storage.StageResult:
    return build_raw_dataset(CORPUS, folder / "raw", ShardSettings(rows=8), folder / "cache")


def whole(folder: Path) -> bool:
    """Whether every clip is there with its sound."""
    table = storage.read(folder / "raw", ["id", "audio"])
    return table.num_rows == 22 and all(table["audio"].to_pylist())


def test_a_download_that_is_cut_goes_on_at_the_byte_it_had(tmp_path, hub: StandinHub):
    size = len(hub.repositories["datasets/ylacombe/expresso"].files[FIRST])
    cuts = iter([size // 3, size // 3])
    hub.cuts = lambda name: next(cuts, None) if name == FIRST else None
    build(tmp_path)
    assert whole(tmp_path)
    starts = [start for name, start in hub.sent if name == FIRST]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2] < size


def test_a_connection_that_always_breaks_leaves_nothing_half_and_the_next_run_goes_on(tmp_path, hub: StandinHub):
    hub.cuts = lambda name: 10 if name == SECOND else None
    with pytest.raises(SourceError, match=rf"cannot fetch {SECOND} of ylacombe/expresso.*materialize again.*are kept"):
        build(tmp_path)
    assert not (tmp_path / "raw" / storage.MANIFEST).exists()
    assert not list((tmp_path / "hub").rglob(f"snapshots/*/{SECOND}"))
    hub.cuts, before = lambda name: None, len(hub.sent)
    build(tmp_path)
    assert whole(tmp_path)
    again = hub.sent[before:]
    assert {name for name, _ in again} == {SECOND}, "the first file was not fetched twice"


def test_without_a_network_what_was_fetched_is_used_and_what_was_not_is_named(tmp_path, hub: StandinHub, monkeypatch):
    build(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert build(tmp_path).reused
    build_raw_dataset(CORPUS, tmp_path / "raw", ShardSettings(rows=9), tmp_path / "cache")
    assert whole(tmp_path)
    other = CORPUS.model_copy(update={"source": CORPUS.source.model_copy(update={"repo": "someone/else"})})
    with pytest.raises(
        SourceError, match=r"someone/else.*never fetched to this machine: connect once, or fill HF_HOME"
    ):
        build_raw_dataset(other, tmp_path / "other", ShardSettings(rows=8), tmp_path / "cache")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_refuses_a_file_is_named_with_it_and_asked_again_later(tmp_path, hub: StandinHub, status: int):
    hub.fails = lambda method, path: status if path.endswith(SECOND) else None
    with pytest.raises(SourceError, match=f"cannot fetch {SECOND}"):
        build(tmp_path)
    assert not (tmp_path / "raw" / storage.MANIFEST).exists()
    hub.fails = lambda method, path: None
    build(tmp_path)
    assert whole(tmp_path)
    assert [name for name, _ in hub.sent].count(FIRST) == 1


def test_a_base_checkpoint_is_whole_or_refused(tmp_path, hub: StandinHub):
    write_tiny_checkpoint(tmp_path / "published")
    publish(hub, "models/someone/base", tmp_path / "published")
    base = Base(repo="someone/base")
    hub.cuts = lambda name: 100 if name == "model.safetensors" else None
    with pytest.raises(BaseError, match=r"cannot fetch someone/base at [0-9a-f]{40}.*materialize again"):
        fetch_base(base, tmp_path / "base")
    hub.cuts = lambda name: None
    found = fetch_base(base, tmp_path / "base")
    assert (found.path / "model.safetensors").read_bytes() == (tmp_path / "published/model.safetensors").read_bytes()
    hub.fails = lambda method, path: 503
    with pytest.raises(BaseError, match=r"ask the Hub for the commit of someone/other \(main\)"):
        fetch_base(Base(repo="someone/other"), tmp_path / "base")


@pytest.mark.parametrize("named", ["google/flan-t5-large", "google/flan-t5-small", None])
def test_a_tokenizer_that_a_base_only_names_is_kept_at_its_commit(tmp_path, hub: StandinHub, named: str | None):
    folder = write_tiny_checkpoint(tmp_path / "published")
    tokenizer, encoder = folder / "tokenizer.json", tmp_path / "encoder"
    config = json.loads((folder / "config.json").read_text())
    config["text_encoder"]["_name_or_path"] = named
    storage.write_json(folder / "config.json", config | {"vocab_size": config["vocab_size"] + 1})
    encoder.mkdir()
    for file in (tokenizer, folder / "tokenizer_config.json"):
        (encoder / file.name).write_bytes(file.read_bytes())
    publish(hub, "models/someone/base", folder)
    publish(hub, of_encoder := f"models/{named or 'google/flan-t5-large'}", encoder)
    found = fetch_base(Base(repo="someone/base"), tmp_path / "base")
    words = load_tokenizers(found.path).description.get_vocab()
    (encoder / "tokenizer.json").write_text(tokenizer.read_text().replace("</s>", "<end>"))
    publish(hub, of_encoder, encoder)
    again = fetch_base(Base(repo="someone/base"), tmp_path / "base")
    assert again.digest == found.digest
    assert load_tokenizers(again.path).description.get_vocab() == words
    hub.repositories.clear()
    copy_tokenizers(again.path, tmp_path / "tuned")
    assert (tmp_path / "tuned" / "description_tokenizer" / "tokenizer.json").is_file()


def rot(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


ROTS = {
    "flipped": rot,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "emptied": lambda file: file.write_bytes(b""),
}


@pytest.mark.parametrize("damage", ROTS)
@pytest.mark.parametrize("file", [FIRST, "README.md"])
def test_a_damaged_file_of_the_hubs_cache_is_fetched_again(tmp_path, hub: StandinHub, caplog, damage: str, file: str):
    build(tmp_path)
    (cached,) = (tmp_path / "hub").rglob(f"snapshots/*/{file}")
    ROTS[damage](cached.resolve())
    build_raw_dataset(CORPUS, tmp_path / "raw", ShardSettings(rows=9), tmp_path / "cache")
    assert whole(tmp_path)
    assert f"{file}: damaged (it is not what the Hub has)" in caplog.text
    assert [name for name, _ in hub.sent].count(file) == 2


def test_a_damaged_file_is_not_used_where_it_cannot_be_fetched_again(tmp_path, hub: StandinHub, monkeypatch):
    build(tmp_path)
    (cached,) = (tmp_path / "hub").rglob(f"snapshots/*/{SECOND}")
    rot(cached.resolve())
    hub.fails = lambda method, path: 503 if path.endswith(SECOND) else None
    with pytest.raises(SourceError, match=f"cannot fetch {SECOND}"):
        build_raw_dataset(CORPUS, tmp_path / "raw", ShardSettings(rows=9), tmp_path / "cache")


@pytest.mark.parametrize("damage", ROTS)
@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_file_of_a_base_from_the_hub_is_fetched_again(tmp_path, hub: StandinHub, damage: str, file: str):
    write_tiny_checkpoint(tmp_path / "published")
    publish(hub, "models/someone/base", tmp_path / "published")
    found = fetch_base(Base(repo="someone/base"), tmp_path / "base")
    ROTS[damage](found.path / file)
    again = fetch_base(Base(repo="someone/base"), tmp_path / "base")
    assert again.digest == found.digest
    assert (again.path / file).read_bytes() == (tmp_path / "published" / file).read_bytes()
