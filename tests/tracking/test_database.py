"""MLflow's SQLite file: whole or not there, put aside where it is damaged, and never what ends a step."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parler_assets.tracking.database import ensure, sound
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.run import Run
from parler_assets.tracking.store import Store, TrackingError

TAGS = {"dagster.root_run_id": "root", "dagster.asset": "finetuned_checkpoint"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> bytes:
    """A database as MLflow makes it."""
    file = tmp_path_factory.mktemp("made") / "mlflow.db"
    ensure(file)
    return file.read_bytes()


def store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'mlflow.db'}", "sample", folder)


def half_made(file: Path, content: bytes) -> None:
    """What a kill in the middle of MLflow's creation leaves: some of its tables."""
    file.write_bytes(content)
    with sqlite3.connect(file) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = {"experiments", "runs", "metrics", "alembic_version"}
        connection.execute("PRAGMA foreign_keys = OFF")
        for name in tables:
            if name not in kept and not name.startswith("sqlite_"):
                connection.execute(f'DROP TABLE "{name}"')
        connection.execute("DELETE FROM alembic_version")
    connection.close()


def flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    for place in range(4096, len(changed), 4096):
        changed[place] ^= 0xFF
    return bytes(changed)


DAMAGES = {
    "cut": lambda file, content: file.write_bytes(content[: len(content) // 2]),
    "emptied": lambda file, content: file.write_bytes(b""),
    "no database": lambda file, content: file.write_bytes(b"something else entirely" * 100),
    "flipped": lambda file, content: file.write_bytes(flipped(content)),
    "half made": half_made,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_put_aside_and_the_next_record_is_taken(tmp_path: Path, made: bytes, damage: str, caplog):
    DAMAGES[damage](tmp_path / "mlflow.db", made)
    if damage == "half made":
        assert sound(tmp_path / "mlflow.db")  # SQLite reads it; MLflow cannot
    with Run(store(tmp_path), "x", TAGS).recording() as run:
        run.metrics({"loss": 4.0})
    assert store(tmp_path).client.get_run(run.id).data.metrics == {"loss": 4.0}
    (aside,) = tmp_path.glob("mlflow.db.damaged-*")
    assert aside.name in caplog.text


def test_a_sound_database_is_left_alone(tmp_path: Path, made: bytes):
    (tmp_path / "mlflow.db").write_bytes(made)
    run = Run(store(tmp_path), "x", TAGS)
    assert store(tmp_path).has(run.id)
    assert not list(tmp_path.glob("*damaged*"))


def test_one_that_is_in_use_is_no_damaged_one(tmp_path: Path, made: bytes):
    (tmp_path / "mlflow.db").write_bytes(made)
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("BEGIN EXCLUSIVE")
    assert sound(tmp_path / "mlflow.db", patience=0.1)
    holder.rollback()
    holder.close()


CREATE = "import sys, pathlib, parler_assets.tracking.database as db; db.ensure(pathlib.Path(sys.argv[1]))"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_kill_while_it_is_created_leaves_nothing_half_made(tmp_path: Path, share: float):
    file = tmp_path / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", CREATE, str(file)])
    seen = None
    while process.poll() is None and not seen:
        seen = next(tmp_path.glob(".mlflow.db.new-*"), None)
        time.sleep(0.01)
    while process.poll() is None and seen and seen.exists() and seen.stat().st_size < share * 600_000:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not file.exists() or sound(file)
    with Run(store(tmp_path), "x", TAGS).recording() as run:
        run.metrics({"loss": 1.0})
    assert not list(tmp_path.glob("*damaged*"))


@pytest.mark.parametrize("lost", ["deleted", "damaged"])
def test_a_store_that_was_lost_is_noticed_and_the_log_recorded_again(tmp_path: Path, lost: str):
    lines = [{"step": step, "time": 1.5 + step, "loss": 4.0 - step} for step in range(4)]
    first = Logbook(Run(store(tmp_path), "x", TAGS)).flush(lines)
    assert store(tmp_path).has(first)
    file = tmp_path / "mlflow.db"
    file.unlink() if lost == "deleted" else file.write_bytes(b"rotten" * 500)
    assert not store(tmp_path).has(first)
    second = Logbook(Run(store(tmp_path), "x", TAGS)).flush(lines)
    assert [p.value for p in store(tmp_path).client.get_metric_history(second, "loss")] == [4.0, 3.0, 2.0, 1.0]


def test_whatever_goes_wrong_in_tracking_is_a_tracking_error(tmp_path: Path, monkeypatch):
    """A caller that survives one kind survives them all."""
    for error in (OSError(28, "No space left on device"), KeyError("gone"), ValueError("odd"), RuntimeError("closed")):

        def fails(file, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("parler_assets.tracking.database.ensure", fails)
            with pytest.raises(TrackingError, match="Nothing that was computed is lost"):
                Run(store(tmp_path), "x", TAGS).id  # noqa: B018
