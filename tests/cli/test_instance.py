"""DAGSTER_HOME: several commands may make it at once, and one that cannot be used ends in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from parler_assets.cli.app import app
from parler_assets.cli.instance import HomeError, ensure_dagster_home, explained, process_tags

FIRST = (
    "import dagster as dg; from parler_assets.cli.instance import ensure_dagster_home; ensure_dagster_home();"
    "instance = dg.DagsterInstance.get(); instance.get_runs();"
    "instance.create_run_for_job(dg.job(name='everything')(lambda: None))"
)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PARLER_RECIPE", "sample")
    return tmp_path / "home"


def test_several_commands_at_once_make_one_home(home: Path):
    processes = [subprocess.Popen([sys.executable, "-c", FIRST], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_runs()) == 4
    assert not list(home.glob(".new-*"))


def test_a_home_made_before_is_left_as_it_is(home: Path):
    ensure_dagster_home()
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(dg.job(name="everything")(lambda: None))
    ensure_dagster_home()
    with dg.DagsterInstance.get() as instance:
        assert instance.has_run(run.run_id)


def test_a_home_that_cannot_be_is_a_sentence_in_every_command(home: Path):
    home.write_text("a file, no folder")
    for command in ("run", "dev", "mlflow", "report"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit), command
        assert f"DAGSTER_HOME {home} cannot be written" in result.output
    result = CliRunner().invoke(app, ["doctor"])
    assert isinstance(result.exception, SystemExit)
    assert "choose another folder" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_of_another_owner_is_a_sentence(home: Path):
    home.mkdir(mode=0o555)
    with pytest.raises(HomeError, match="change its owner"):
        ensure_dagster_home()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b), lambda b: b"no database"])
@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_damaged_database_is_named_and_its_remedy_helps(home: Path, name: str, damage):
    ensure_dagster_home()
    file = home / name
    file.write_bytes(damage(file.read_bytes()))

    def use() -> None:
        with explained(home), dg.DagsterInstance.get() as instance:
            instance.get_runs()
            instance.get_latest_materialization_event(dg.AssetKey("scorecard"))
            instance.all_instigator_state()

    with pytest.raises(HomeError) as error:
        use()
    assert str(file) in str(error.value)
    (command,) = [part.split(":")[0] for part in str(error.value).split("; ") if part.startswith("mv ")]
    subprocess.run(command.split(), check=True)
    ensure_dagster_home()
    use()


def test_other_errors_are_not_taken_for_the_homes(home: Path, tmp_path: Path):
    with pytest.raises(PermissionError), explained(home):
        raise PermissionError(13, "Permission denied", str(tmp_path / "data" / "shard.parquet"))


def test_the_slot_of_a_killed_run_has_a_remedy(home: Path):
    from parler_assets.cli import doctor

    ensure_dagster_home()
    tags = process_tags() | {"parler/process": "1-1"}  # a process that is another by now
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(dg.job(name="everything")(lambda: None), tags=tags)
        instance.handle_new_event(
            dg.EventLogEntry(
                error_info=None,
                level=20,
                user_message="",
                run_id=run.run_id,
                timestamp=0.0,
                job_name="everything",
                dagster_event=dg.DagsterEvent("PIPELINE_START", "everything"),
            )
        )
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "training")
    found = doctor.slots(home)
    assert run.run_id[:8] in found.found
    assert "parler-assets run" in found.remedy
