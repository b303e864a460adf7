"""MLflow's SQLite file: whole or not there, put aside where it is damaged, and never what ends a step."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parler_assets.tracking import results
from parler_assets.tracking.database import artifacts_of, ensure, file_of, move_artifacts, sound, uri_of
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.run import Run
from parler_assets.tracking.store import Store, TrackingError
from tests.support.small_disk import remount, small_disk

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
        seen = next((path for path in tmp_path.glob(".mlflow.db.new-*") if not path.name.endswith("-journal")), None)
        time.sleep(0.01)
    with contextlib.suppress(FileNotFoundError):  # moved into its place between two looks
        while process.poll() is None and seen and seen.stat().st_size < share * 600_000:
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


NAMES = [
    "a b",
    "50%",
    "50%20off",
    "what?",
    "c#d",
    "c#d?x%3F",
    "ü—日本",
    "a&b=c;d",
    "q\"x'",
    "a:b@c",
    "a\\b",
    "[x]*",
    "~x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_may_have_any_signs(tmp_path: Path, made: bytes, name: str):
    """MLflow's database and artifacts lie where they should, and nothing lies elsewhere."""
    root = tmp_path / name / "sample"
    root.mkdir(parents=True)
    file = root / "mlflow.db"
    assert file_of(uri_of(file)) == file
    file.write_bytes(made)
    (root / "card.md").write_text("scores")
    with Run(Store(uri_of(file), "sample", root), "x", TAGS).recording() as run:
        run.metrics({"loss": 1.0})
        run.artifact(root / "card.md", "report")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (kept,) = root.glob("mlflow_artifacts/*/artifacts/report/card.md")
    assert kept.read_text() == "scores"
    assert Store(uri_of(file), "sample", root).has(run.id)


def test_a_database_is_created_where_it_should_be_whatever_its_path(tmp_path: Path):
    file = tmp_path / "50%20 what?#" / "mlflow.db"
    file.parent.mkdir()
    ensure(file)
    assert sound(file)
    assert [path.name for path in tmp_path.iterdir()] == [file.parent.name]


@pytest.mark.parametrize("how", ["moved", "copied", "copied to a name with %20"])
def test_a_workspace_elsewhere_writes_its_artifacts_there(tmp_path: Path, made: bytes, how: str):
    old, new = tmp_path / "old" / "sample", tmp_path / ("new" if "%" not in how else "new%20er") / "sample"
    old.mkdir(parents=True)
    (old / "mlflow.db").write_bytes(made)
    (tmp_path / "card.md").write_text("scores")
    with Run(store(old), "x", TAGS).recording() as run:
        run.artifact(tmp_path / "card.md")
    (shutil.move if how == "moved" else shutil.copytree)(old.parent, new.parent)
    before = sorted(old.rglob("*"))
    there = Store(uri_of(new / "mlflow.db"), "sample", new)
    with Run(there, "y", TAGS | {"dagster.asset": "other"}).recording() as later:
        later.artifact(tmp_path / "card.md")
    assert len(list(new.glob("mlflow_artifacts/*/artifacts/card.md"))) == 2
    for each in (run, later):
        assert there.client.get_run(each.id).info.artifact_uri.startswith(artifacts_of(new / "mlflow.db"))
        assert Path(there.client.download_artifacts(each.id, "card.md")).read_text() == "scores"
    assert sorted(old.rglob("*")) == before


def test_artifacts_on_a_server_or_in_a_folder_of_ones_own_stay_there(tmp_path: Path, made: bytes):
    file = tmp_path / "sample" / "mlflow.db"
    file.parent.mkdir()
    file.write_bytes(made)
    places = [
        "s3://bucket/mlflow_artifacts",
        "mlflow-artifacts:/3",
        "/mnt/sample2/mlflow_artifacts/1",
        "/mnt/own",
        None,
    ]
    with sqlite3.connect(file) as connection:
        for number, place in enumerate(places):
            connection.execute("INSERT INTO experiments (name, artifact_location) VALUES (?, ?)", (str(number), place))
    connection.close()
    move_artifacts(file)
    with sqlite3.connect(file) as connection:
        query = "SELECT artifact_location FROM experiments WHERE name BETWEEN '0' AND '9' ORDER BY name"
        kept = [place for (place,) in connection.execute(query)]
    connection.close()
    assert kept == places


MOVED = ["/old/data/sample/finetuned_checkpoint/checkpoint", "inside", "outside", "package"]


@pytest.mark.parametrize("written", MOVED)
def test_a_moved_workspace_uses_its_own_results(tmp_path: Path, written: str):
    """Records of before name whole paths."""
    old, new = (tmp_path / name / "sample" / "finetuned_checkpoint" for name in ("old", "new"))
    (old / "checkpoint").mkdir(parents=True)
    given = {"inside": str(old / "checkpoint"), "outside": str(tmp_path / "mine"), "package": str(results.OURS / "x")}
    if written in given:
        results.remember(old, checkpoint=given[written], digest="1")
    else:
        (old / "result.json").write_text(json.dumps({"checkpoint": written, "digest": "1"}))
    assert str(old) not in (old / "result.json").read_text()
    shutil.copytree(old.parent, new.parent)
    expected = {"outside": given["outside"], "package": given["package"]}.get(written, str(new / "checkpoint"))
    assert results.remembered(new) == {"checkpoint": expected, "digest": "1"}


def test_a_full_disk_ends_no_training_and_the_log_is_recorded_when_there_is_room(tmp_path: Path):
    """While the database is created, and while it is written."""
    lines = [{"step": step, "time": 1.0, "loss": 4.0, "held": 2.0} for step in range(3000)]
    with small_disk(tmp_path / "disk", 300) as place:
        with pytest.raises(TrackingError, match=r"the disk is full; free some space"):
            Logbook(Run(store(place), "x", TAGS)).flush(lines)
        assert not list(place.glob("*.db*"))
        remount(place, "size=1300k")
        with pytest.raises(TrackingError, match=r"the disk is full; free some space"):
            Logbook(Run(store(place), "x", TAGS)).flush(lines)
        remount(place, "size=30000k")
        run = Logbook(Run(store(place), "x", TAGS)).flush(lines)
        assert len(store(place).client.get_metric_history(run, "loss")) == 3000
        assert not list(place.glob("*damaged*"))
