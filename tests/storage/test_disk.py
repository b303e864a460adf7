"""A full or read-only disk: one sentence with file, size and remedy, whichever library wrote; and room asked for."""

from __future__ import annotations

import copy
import errno
import json
import logging
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import sqlalchemy as sa
import torch
from safetensors.torch import save_file

from parler_assets import storage
from parler_assets.cli import app as command
from parler_assets.speech.descriptions.answer_cache import opened
from parler_assets.storage import DiskError, disk, replacing
from parler_assets.storage.disk import reason
from parler_assets.tts.data.codes_file import write_codes
from tests.support.small_disk import remount, small_disk

NOISE = np.random.default_rng(0).bytes(600_000)
TABLE = pa.table({"audio": [NOISE]})


def in_sqlite(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE a (b)")
    base.execute("INSERT INTO a VALUES (?)", (NOISE,))
    base.commit()


def through_sqlalchemy(path: Path) -> None:
    with sa.create_engine(f"sqlite:///{path}").begin() as base:
        base.execute(sa.text("CREATE TABLE a (b)"))
        base.execute(sa.text("INSERT INTO a VALUES (:b)"), {"b": NOISE})


def in_pieces(path: Path) -> None:
    with pq.ParquetWriter(path, TABLE.schema) as writer:
        writer.write_table(TABLE)


def copied(path: Path) -> None:
    with tempfile.NamedTemporaryFile() as source:
        source.write(NOISE)
        source.flush()
        shutil.copyfile(source.name, path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "parquet": lambda path: pq.write_table(TABLE, path),
    "parquet in pieces": in_pieces,
    "safetensors": lambda path: save_file({"a": torch.zeros(150_000)}, path),
    "python": lambda path: path.write_bytes(NOISE),
    "json": lambda path: path.write_text(json.dumps(["x" * 100] * 6000)),
    "copyfile": copied,
    "npz": lambda path: np.savez(path, np.zeros(80_000)),
    "sqlite": in_sqlite,
    "sqlalchemy": through_sqlalchemy,
}
SILENT: dict[str, Callable[[Path], object]] = {  # these do not say why
    "numpy": lambda path: np.save(path.open("wb"), np.zeros(80_000)),
    "soundfile": lambda path: soundfile.write(path, np.zeros(300_000), 16_000, format="WAV"),
}


def write(writer: str, path: Path) -> None:
    with replacing(path) as temporary:
        (WRITERS | SILENT)[writer](temporary)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("small"), 400) as place:
        yield place


@pytest.mark.parametrize("writer", [*WRITERS, *SILENT])
def test_a_full_disk_names_file_size_and_remedy(small: Path, writer: str):
    file = small / "stage" / "part-00000.parquet"
    with pytest.raises(DiskError) as error:
        write(writer, file)
    assert error.value.errno == errno.ENOSPC
    assert str(error.value).startswith(f"{file} could not be written (")
    for said in ("the disk is full", "MB are free", "free some space", "what is finished is kept"):
        assert said in str(error.value)
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".tmp"] == []
    shutil.rmtree(file.parent)


@pytest.mark.parametrize("writer", [name for name in WRITERS if "sql" not in name and name != "copyfile"])
def test_a_limit_of_the_shell_is_said_as_such(tmp_path: Path, writer: str):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"x could not be written .*File too large") as error:
            write(writer, tmp_path / "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "ulimit" in str(error.value)


WRITES: dict[str, Callable[[Path], object]] = {
    "a stage": lambda folder: storage.build(folder / "stage", "f", 2, lambda i: storage.Part(TABLE)),
    "codes": lambda folder: write_codes(folder / "set", "train", [np.zeros((40_000, 9), np.uint16)], 9),
    "a record": lambda folder: storage.Schema("x").write(folder / "x.json", {"a": "b" * 600_000}),
    "answers": lambda folder: answer(folder / "answers.db"),
}


def answer(path: Path) -> None:
    with opened(path) as store:
        store.put({str(n): NOISE.hex() for n in range(3)})


@pytest.mark.parametrize("writes", WRITES)
def test_everything_that_is_stored_says_so(small: Path, writes: str):
    with pytest.raises(DiskError, match="the disk is full"):
        WRITES[writes](small / writes)
    shutil.rmtree(small / writes)


@pytest.mark.parametrize("writes", ["a stage", "codes", "a record"])
def test_a_disk_that_becomes_read_only_says_so_and_the_work_goes_on_later(tmp_path: Path, writes: str):
    with small_disk(tmp_path / "disk", 4000) as place:
        storage.build(place / "stage", "f", 1, lambda i: storage.Part(pa.table({"a": [1]})))
        (place / "set").mkdir()
        remount(place, "ro")
        with pytest.raises(DiskError, match=r"read-only.*mount it for writing"):
            WRITES[writes](place)
        assert storage.read(place / "stage")["a"].to_pylist() == [1]
        remount(place, "rw")
        WRITES[writes](place)


def test_a_stage_goes_on_when_there_is_room(tmp_path: Path):
    made: list[int] = []

    def make(index: int) -> storage.Part:
        made.append(index)
        return storage.Part(pa.table({"audio": [NOISE[:150_000]]}))

    with small_disk(tmp_path / "disk", 400) as place:
        with pytest.raises(DiskError, match=r"part-00002.*the disk is full"):
            storage.build(place / "stage", "f", 4, make)
        remount(place, "size=4000k")
        made.clear()
        assert storage.build(place / "stage", "f", 4, make).manifest.rows == 4
    assert made == [2, 3]


def free_are(monkeypatch, count: int) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=count))


def test_what_will_not_fit_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch, caplog):
    def build(room: float) -> storage.StageResult:
        return storage.build(tmp_path / "s", "f", 2, lambda i: storage.Part(pa.table({"a": [i]})), room=lambda: room)

    free_are(monkeypatch, 2_000_000_000)
    with pytest.raises(DiskError, match=r"takes about 3 GB, 2 GB are free; free some space"):
        build(3e9)
    assert not list(tmp_path.rglob("part-*"))
    build(1.9e9)
    assert "takes about 1.9 GB, 2 GB are free: it may not fit" in caplog.text
    assert build(3e9).reused  # what is there needs no room
    next(tmp_path.rglob("part-00000*.parquet")).unlink()
    build(3e9)  # half of it


def test_what_remains_is_foretold_by_what_was_made(tmp_path: Path, monkeypatch, caplog):
    free_are(monkeypatch, 1_000_000)
    storage.build(tmp_path / "s", "f", 3, lambda i: storage.Part(TABLE))
    assert "the other 2 shards will take about 1.2 MB, 1 MB are free" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        storage.build(tmp_path / "t", "f", 2, lambda i: storage.Part(TABLE))
    assert not caplog.text


OTHERS = [ValueError("odd"), FileNotFoundError(2, "No such file"), KeyError("full"), MemoryError(), OSError("odd")]


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception):
    def fails(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)) as found, replacing(tmp_path / "x") as temporary:
        fails(temporary)
    assert found.value is error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", disk.SAID)
def test_an_error_of_the_disk_ends_every_command_in_a_sentence(number: int, monkeypatch, capsys):
    def fails() -> None:
        raise RuntimeError("x") from OSError(number, "what the kernel says", "/data/file")

    monkeypatch.setattr(command, "app", fails)
    with pytest.raises(SystemExit):
        command.main()
    assert disk.SAID[number][0] in (said := capsys.readouterr().err)
    assert disk.SAID[number][1] in said


def test_an_error_of_the_disk_comes_back_from_another_process():
    error = copy.copy(DiskError(errno.ENOSPC, "x could not be written"))  # by its arguments, as pickle does
    assert (str(error), reason(error)) == ("x could not be written", errno.ENOSPC)
