"""Shards: complete or absent to a reader, resumed at the first missing one, never mixed."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parler_assets import storage
from parler_assets.storage import Part, SetAside, ShardError


def part(index: int) -> Part:
    table = pa.table({"id": [f"{index}-{row}" for row in range(3)], "value": [index, index + 1, index + 2]})
    return Part(table, [SetAside(f"{index}-bad", "test", "made to fail")])


def test_round_trip_keeps_order_and_set_aside_rows(tmp_path):
    result = storage.build(tmp_path, "f1", 4, part, facts=lambda: {"edges": [1.5]})
    assert not result.reused
    assert storage.read(tmp_path)["id"].to_pylist() == [f"{i}-{row}" for i in range(4) for row in range(3)]
    manifest = storage.read_manifest(tmp_path)
    assert [row.id for row in manifest.set_aside] == [f"{i}-bad" for i in range(4)]
    assert manifest.facts == {"edges": [1.5]}
    assert manifest.rows == 12


def test_same_fingerprint_computes_nothing(tmp_path):
    first = storage.build(tmp_path, "f1", 2, part)
    again = storage.build(tmp_path, "f1", 2, lambda index: pytest.fail("computed again"))
    assert again.reused
    assert again.digest == first.digest


@pytest.mark.parametrize("years", [-50, 1])
def test_what_a_wrong_clock_has_written_is_as_good(tmp_path, years: int):
    """Times of files are not looked at: not those of a finished stage, nor of one that was cut off, nor of locks."""
    storage.build(tmp_path / "done", "f1", 2, part)
    with pytest.raises(ZeroDivisionError):
        storage.build(tmp_path / "cut", "f1", 2, lambda index: part(1 // (1 - index) - 1))
    then = time.time() + years * 365 * 86400
    for path in tmp_path.rglob("*"):
        os.utime(path, (then, then))
    assert storage.build(tmp_path / "done", "f1", 2, lambda index: pytest.fail("computed again")).reused
    made: list[int] = []
    storage.build(tmp_path / "cut", "f1", 2, lambda index: made.append(index) or part(index))
    assert made == [1]
    assert storage.build(tmp_path / "done", "f2", 2, lambda index: part(index + 1)).manifest.rows == 6


def test_a_table_that_comes_in_pieces_is_one_shard(tmp_path):
    pieces = [part(index).table for index in range(3)]
    schema = pieces[0].schema.with_metadata({"kept": "here"})
    storage.build(tmp_path, "f1", 1, lambda index: Part(storage.Streamed(schema, iter(pieces))))
    assert storage.read(tmp_path).to_pydict() == pa.concat_tables(pieces).to_pydict()
    assert storage.read(tmp_path).schema.metadata == {b"kept": b"here"}
    assert storage.read_manifest(tmp_path).rows == 9


def test_rebuild_computes_but_keeps_the_digest(tmp_path):
    first = storage.build(tmp_path, "f1", 2, part)
    calls: list[int] = []
    again = storage.build(tmp_path, "f1", 2, lambda index: calls.append(index) or part(index), rebuild=True)
    assert calls == [0, 1]
    assert again.digest == first.digest


def test_digest_is_of_the_content_not_of_the_fingerprint(tmp_path):
    one = storage.build(tmp_path / "a", "f1", 2, part)
    two = storage.build(tmp_path / "b", "f2", 2, part)
    assert one.digest == two.digest


def test_failure_keeps_finished_shards_and_the_old_output(tmp_path):
    storage.build(tmp_path, "old", 2, part)

    def fails_at_two(index: int) -> Part:
        if index == 2:
            raise OSError("disk full")
        return part(index + 10)

    with pytest.raises(OSError, match="disk full"):
        storage.build(tmp_path, "new", 3, fails_at_two)
    assert storage.read_manifest(tmp_path).fingerprint == "old"
    assert storage.read(tmp_path).num_rows == 6
    calls: list[int] = []
    storage.build(tmp_path, "new", 3, lambda index: calls.append(index) or part(index + 10))
    assert calls == [2]
    assert {path.name for path in tmp_path.glob("part-*")} == {
        f"part-{i:05d}-new.{kind}" for i in range(3) for kind in ("parquet", "json")
    }


def test_a_shard_changed_on_disk_is_made_again(tmp_path):
    with pytest.raises(KeyError):
        storage.build(tmp_path, "f", 2, lambda index: {0: part(0)}[index])
    (tmp_path / "part-00000-f.parquet").write_bytes(b"half a file")
    calls: list[int] = []
    storage.build(tmp_path, "f", 2, lambda index: calls.append(index) or part(index))
    assert calls == [0, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "materialize it first"), ("{", "damaged"), ("{}", "damaged")],
    ids=["missing", "truncated", "empty"],
)
def test_bad_manifest_names_file_and_remedy(tmp_path, content, said):
    if content is not None:
        (tmp_path / storage.MANIFEST).write_text(content)
    with pytest.raises(ShardError, match=said) as caught:
        storage.read_manifest(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("sealed", [True, False], ids=["named", "of before there were schemas"])
def test_manifest_of_another_schema_version_is_refused(tmp_path, sealed):
    storage.build(tmp_path, "f", 1, part)
    path = tmp_path / storage.MANIFEST
    content = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("schema", "seal")}
    if sealed:
        storage.Schema("stage", version=99).write(path, content)
    else:
        path.write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(ShardError, match=r"version 99.*rebuild"):
        storage.read_manifest(tmp_path)


def test_damaged_shard_names_file_and_remedy(tmp_path):
    manifest = storage.build(tmp_path, "f", 1, part).manifest
    (tmp_path / manifest.shards[0].file).write_bytes(b"not parquet")
    with pytest.raises(ShardError, match=r"part-00000.*materialize"):
        storage.read(tmp_path)


def test_map_follows_the_content_of_its_source(tmp_path):
    def double(table: pa.Table) -> Part:
        return Part(table.append_column("twice", pa.array([2 * v for v in table["value"].to_pylist()])))

    storage.build(tmp_path / "in", "f1", 2, part)
    first = storage.map_shards(tmp_path / "in", tmp_path / "out", "g", double)
    assert storage.map_shards(tmp_path / "in", tmp_path / "out", "g", double).reused
    storage.build(tmp_path / "in", "f2", 2, lambda index: part(index + 1))
    second = storage.map_shards(tmp_path / "in", tmp_path / "out", "g", double)
    assert not second.reused
    assert second.digest != first.digest
    assert storage.read(tmp_path / "out")["twice"].to_pylist() == [2, 4, 6, 4, 6, 8]


KILLED = """
import os, signal, sys
import pyarrow as pa
from parler_assets import storage

def make(index):
    if index == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return storage.Part(pa.table({"id": [str(index)]}))

storage.build(__import__("pathlib").Path(sys.argv[1]), "f", 5, make)
"""


@pytest.mark.parametrize("at", [0, 3])
def test_sigkill_loses_at_most_the_shard_in_progress(tmp_path, at):
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(at)],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        stderr=subprocess.DEVNULL,
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(ShardError):
        storage.read(tmp_path)
    calls: list[int] = []
    storage.build(tmp_path, "f", 5, lambda i: calls.append(i) or Part(pa.table({"id": [str(i)]})))
    assert calls == list(range(at, 5))
    assert storage.read(tmp_path)["id"].to_pylist() == ["0", "1", "2", "3", "4"]


@given(crashes=st.lists(st.integers(0, 5), max_size=4), count=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_any_sequence_of_crashes_ends_in_the_same_content(tmp_path_factory, crashes, count):
    folder = tmp_path_factory.mktemp("crash")
    made: list[int] = []
    for stop in crashes:

        def fragile(index: int, stop=stop) -> Part:
            if index == stop:
                raise RuntimeError("crash")
            made.append(index)
            return part(index)

        if stop < count:
            with pytest.raises(RuntimeError) if stop not in made else _nothing():
                storage.build(folder, "f", count, fragile)
    final = storage.build(folder, "f", count, lambda index: made.append(index) or part(index))
    assert sorted(made) == list(range(count))
    assert final.digest == storage.build(folder / "clean", "f", count, part).digest


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *error):
        return False


def _build_slowly(folder: Path, results) -> None:
    def make(index: int) -> storage.Part:
        time.sleep(0.1)
        return storage.Part(pa.table({"id": [f"{os.getpid()}-{index}"]}))

    results.put(storage.build(folder, "same", 5, make).reused)


def test_of_two_processes_at_once_one_builds_and_the_other_finds_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    workers = [context.Process(target=_build_slowly, args=(tmp_path, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert sorted([results.get(), results.get()]) == [False, True]
    makers = {name.split("-")[0] for name in storage.read(tmp_path)["id"].to_pylist()}
    assert len(makers) == 1


def _build_on_a_full_disk(folder: Path, results) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    noise = np.random.default_rng(0).bytes

    def make(index: int) -> storage.Part:
        return storage.Part(pa.table({"id": [str(index)], "audio": [noise(5_000 if index < 2 else 50_000)]}))

    try:
        storage.build(folder, "new", 3, make)
    except OSError as error:
        results.put(str(error))


def test_a_full_disk_leaves_the_old_output_readable_and_no_half_file(tmp_path):
    storage.build(tmp_path, "old", 1, lambda _: storage.Part(pa.table({"id": ["kept"]})))
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    worker = context.Process(target=_build_on_a_full_disk, args=(tmp_path, results))
    worker.start()
    worker.join(120)
    assert "too large" in results.get()
    assert storage.read(tmp_path)["id"].to_pylist() == ["kept"]
    assert not list(tmp_path.glob(".*.tmp"))
    made = []
    storage.build(tmp_path, "new", 3, lambda i: made.append(i) or storage.Part(pa.table({"id": [str(i)]})))
    assert made == [2]


@pytest.mark.parametrize("late", [".json", ".parquet", ""])
def test_shards_that_a_network_disk_shows_late_are_not_made_again(tmp_path, late: str):
    """Workers of another machine have renamed their files; this machine sees some of them a moment later."""
    elsewhere, here, made = tmp_path / "elsewhere", tmp_path / "here", []

    def make(index: int) -> storage.Part:
        made.append(index)
        return storage.Part(pa.table({"id": [str(index)]}))

    def executor(missing, make_shard) -> None:
        storage.build(elsewhere, "f", 3, make)
        files = sorted(elsewhere.glob("part-*"))
        for file in files:
            if not file.name.endswith(late):
                shutil.copyfile(file, here / file.name)
        threading.Timer(0.5, lambda: [shutil.copyfile(file, here / file.name) for file in files]).start()

    result = storage.build(here, "f", 3, make, executor=executor)
    assert result.manifest.rows == 3
    assert made == [0, 1, 2]


def test_shards_that_never_appear_are_made_here(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("parler_assets.storage.writing.SEEN_LATE", 0.2)
    result = storage.build(
        tmp_path, "f", 2, lambda i: storage.Part(pa.table({"id": [i]})), executor=lambda missing, make: None
    )
    assert result.manifest.rows == 2
    assert "do not appear; their shards are made here" in caplog.text
