"""Shards spread over two Ray workers: the bytes of a single process, and a killed worker's shard made again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from parler_assets import storage
from parler_assets.recipe import Annotation, Corpus, Shards
from parler_assets.speech.annotation.stage import tag_corpus
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.storage import Part, executors
from parler_assets.storage.executors import SpreadError, over_ray
from tests.support.tiny import recipe_content, write_tiny_recipe

pytest.importorskip("ray", reason="no ray: install the extra `ray` to spread shards over workers")


def test_a_cluster_that_is_not_there_is_named():
    with (
        pytest.raises(SpreadError, match=r"no Ray cluster at 'auto' \(Could not find.*use the address local"),
        over_ray("auto"),
    ):
        pass


@pytest.fixture(scope="module")
def workers() -> Iterator[storage.Executor]:
    with over_ray("local", num_cpus=2) as executor:
        yield executor


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twelve clips in shards of two, made in this process."""
    write_tiny_recipe(tmp_path)
    corpus = recipe_content()["corpora"]["studio"]
    corpus["source"]["path"] = str(tmp_path / "studio")
    build_raw_dataset(Corpus.model_validate(corpus), tmp_path / "raw", Shards(rows=2), tmp_path / "cache")
    return tmp_path / "raw"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def test_two_workers_write_what_one_process_writes(workers, raw: Path, tmp_path: Path):
    settings = Annotation(era="a", pitch="praat", room="classical")
    spread = tag_corpus(raw, tmp_path / "spread", settings, executor=workers)
    alone = tag_corpus(raw, tmp_path / "alone", settings)
    assert not spread.reused
    assert spread.manifest == alone.manifest
    assert files(spread.folder) == files(alone.folder)


def test_a_killed_workers_shard_is_made_again(workers, tmp_path: Path):
    def make(index: int) -> Part:
        first_time = not (tmp_path / f"seen-{index}").exists()
        (tmp_path / f"seen-{index}").write_text(str(os.getpid()))
        if index == 2 and first_time:
            os.kill(os.getpid(), signal.SIGKILL)
        return Part(pa.table({"id": [str(index)]}))

    result = storage.build(tmp_path / "stage", "f", 4, make, executor=workers)
    assert storage.read(result.folder)["id"].to_pylist() == ["0", "1", "2", "3"]
    assert str(os.getpid()) not in {(tmp_path / f"seen-{index}").read_text() for index in range(4)}


def test_an_error_of_the_work_itself_comes_back_as_it_was(workers, tmp_path: Path):
    def make(index: int) -> Part:
        if index == 1:
            raise OSError("disk full")
        return Part(pa.table({"id": [str(index)]}))

    with pytest.raises(OSError, match="disk full"):
        storage.build(tmp_path / "stage", "f", 2, make, executor=workers)


def test_a_worker_that_dies_again_and_again_names_its_shard(workers, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(executors, "RETRIES", 0)

    def make(index: int) -> Part:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return Part(pa.table({"id": [str(index)]}))

    with pytest.raises(SpreadError, match=r"died 1 times over shard 2 \(part-00002\): give workers more memory"):
        storage.build(tmp_path / "stage", "f", 4, make, executor=workers)
