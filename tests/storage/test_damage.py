"""Damage to what a stage wrote: told when it is read, and made good by the next build at the price of what it hit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parler_assets import storage
from parler_assets.storage import MANIFEST, Part, SetAside, ShardError

COUNT = 3
PLACES = (0.0, 0.37, 0.5, 0.99)


def _flip(at: float) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        bit = int(at * (8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)

    return flip


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS = {f"flip at {at}": _flip(at) for at in PLACES} | {
    "cut": _cut,
    "empty": lambda path: path.write_bytes(b""),
    "delete": Path.unlink,
}
# Which file is hit, and how many shards the next build makes again.
FILES = {"shard": ("part-00001-f.parquet", 1), "record": ("part-00001-f.json", 0), "manifest": (MANIFEST, 0)}
FILES |= {"file beside": ("codes-1.npy", 1)}


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, list[int]()

    def make(self, index: int) -> Part:
        self.made.append(index)
        beside = f"codes-{index}.npy"
        (self.folder / beside).write_bytes(bytes([index]) * 100)
        table = pa.table({"id": [f"{index}-{row}" for row in range(50)], "value": list(range(50))})
        return Part(table, [SetAside(f"{index}-bad", "test", "made to fail")], [beside])

    def build(self) -> storage.StageResult:
        self.made.clear()
        return storage.build(self.folder, "f", COUNT, self.make, facts=lambda: {"edges": [1.5], "of": {"b": None}})


@pytest.fixture
def stage(tmp_path) -> Stage:
    stage = Stage(tmp_path)
    stage.build()
    return stage


def without_records(stage: Stage) -> None:
    """Leave the folder as stages did before: a manifest with no digest of its own, and no record."""
    for record in stage.folder.glob("part-*.json"):
        record.unlink()
    content = json.loads((stage.folder / MANIFEST).read_text())
    del content["seal"]
    for shard in content["shards"]:
        del shard["beside"], shard["aside"]
    (stage.folder / MANIFEST).write_text(json.dumps(content))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("hit", FILES)
def test_damage_costs_what_it_hit_and_nothing_more(stage, hit, fault):
    before = storage.read_manifest(stage.folder)
    name, cost = FILES[hit]
    FAULTS[fault](stage.folder / name)
    again = stage.build()
    assert (again.digest, again.manifest) == (before.digest, before)
    assert len(stage.made) == cost
    assert storage.read(stage.folder).num_rows == 50 * COUNT
    assert storage.read_manifest(stage.folder) == before
    assert stage.build().reused
    assert stage.made == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("hit", ["shard", "manifest"])
def test_damaged_data_is_not_read_and_the_file_is_named(stage, hit, fault):
    path = stage.folder / FILES[hit][0]
    storage.read(stage.folder)
    FAULTS[fault](path)
    with pytest.raises(ShardError, match=re.escape(str(path))) as caught:
        storage.read(stage.folder, ["value"])
    assert re.search("materialize|rebuild", str(caught.value))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stage_of_before_is_valid_and_is_repaired_for_one_shard(stage, fault):
    before = storage.read_manifest(stage.folder)
    without_records(stage)
    assert stage.build().reused
    FAULTS[fault](stage.folder / "part-00001-f.parquet")
    again = stage.build()
    assert stage.made == [1]
    assert again.digest == before.digest
    assert again.manifest.set_aside == before.set_aside


def test_manifest_and_one_shard_gone_at_once_cost_that_shard(stage):
    before = storage.read_manifest(stage.folder)
    (stage.folder / MANIFEST).unlink()
    (stage.folder / "part-00002-f.parquet").unlink()
    assert stage.build().digest == before.digest
    assert stage.made == [2]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_record_is_written_again_and_serves_when_the_manifest_is_lost_later(stage, fault):
    before = storage.read_manifest(stage.folder)
    record = stage.folder / FILES["record"][0]
    content = record.read_bytes()
    FAULTS[fault](record)
    assert stage.build().reused
    assert record.read_bytes() == content
    (stage.folder / MANIFEST).unlink()
    assert stage.build().manifest == before
    assert stage.made == []


def test_an_executor_is_asked_for_the_damaged_shard_alone(stage):
    asked: list[int] = []

    def executor(missing, make) -> None:
        asked.extend(missing)
        for index in missing:
            make(index)

    _cut(stage.folder / "part-00000-f.parquet")
    storage.build(stage.folder, "f", COUNT, stage.make, executor=executor)
    assert asked == [0]


@given(at=st.floats(0, 1), hit=st.sampled_from(sorted(FILES)))
@settings(max_examples=30, deadline=None)
def test_no_single_bit_changes_what_is_read(tmp_path_factory, at, hit):
    stage = Stage(tmp_path_factory.mktemp("bit"))
    before = stage.build()
    name, cost = FILES[hit]
    _flip(at)(stage.folder / name)
    assert stage.build().manifest == before.manifest
    assert storage.read_manifest(stage.folder) == before.manifest
    assert len(stage.made) == cost
