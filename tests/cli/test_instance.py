"""DAGSTER_HOME: several commands may make it at once, and one that cannot be used ends in a sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from parler_assets.cli import killed
from parler_assets.cli.app import app
from parler_assets.cli.instance import (
    HomeError,
    ensure_dagster_home,
    explained,
    free_dead_runs,
    instance_in,
    process_tags,
)
from parler_assets.resources.workspace import INSTANCE_SETTINGS, PROJECT
from tests.support.small_disk import remount, small_disk

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


def test_the_home_of_a_clone_has_the_shipped_settings():
    """So plain `dagster dev` finds them before any command of ours ran."""
    assert (PROJECT / "dagster_home" / "dagster.yaml").read_bytes() == INSTANCE_SETTINGS.read_bytes()


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


@pytest.mark.parametrize("name", ["what?", "50%20off", "%C3%BC"])
def test_a_home_that_dagster_would_put_elsewhere_is_a_sentence(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with pytest.raises(HomeError, match="set it to another folder"):
        ensure_dagster_home()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b", "50%", "c#d", "ü—日本", "a&b=c"])
def test_a_home_may_have_other_signs(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    assert ensure_dagster_home() == tmp_path / name
    assert (tmp_path / name / "history" / "runs.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"telemetry: {enabled: |rue}", "line 1"),
        (b"telemetry: {ena", "line 1"),
        (b"telemetry: {enabled: xrue}", "telemetry:enabled"),
        (b"telemetri: {enabled: true}", "telemetri"),
        (b"concurrency:\n  pools: 3", "cannot use these settings"),
        (b"retention: [1]", "retention"),
        (b"telemetry", "no settings"),
        (b"- telemetry", "no settings"),
        (b"telemetry: \xff", "utf-8"),
        (b"\x00\x01", "position 0"),
    ],
)
def test_damaged_settings_are_named_and_their_remedy_helps(home: Path, content: bytes, said: str):
    ensure_dagster_home()
    file = home / "dagster.yaml"
    shipped = file.read_bytes()
    file.write_bytes(content)

    def use() -> None:
        ensure_dagster_home()
        with explained(home), instance_in(home) as instance:
            instance.get_runs()

    with pytest.raises(HomeError, match=said) as error:
        use()
    (command,) = re.findall(r"mv \S+ [^\s:]+", str(error.value))
    subprocess.run(command.split(), check=True)
    use()
    assert file.read_bytes() == shipped


def test_emptied_settings_are_the_shipped_ones(home: Path):
    ensure_dagster_home()
    shipped = (home / "dagster.yaml").read_bytes()
    (home / "dagster.yaml").write_bytes(b"")
    ensure_dagster_home()
    assert (home / "dagster.yaml").read_bytes() == shipped


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


def test_a_full_home_is_a_sentence_and_goes_on_when_there_is_room(tmp_path: Path, monkeypatch):
    """While it is made, and in the middle of a run."""
    with small_disk(tmp_path / "disk", 100) as place:
        home = place / "home"
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with pytest.raises(HomeError, match=r"the disk is full; free some space"):
            ensure_dagster_home()
        remount(place, "size=3000k")
        ensure_dagster_home()
        rest = place / "rest"
        with pytest.raises(HomeError, match="the disk is full"), explained(home):
            create_runs(20, rest)
        rest.unlink()
        ensure_dagster_home()
        with explained(home):
            create_runs(1)


def create_runs(count: int, rest: Path | None = None) -> None:
    with dg.DagsterInstance.get() as instance:
        if rest:
            fill(rest)
        for _ in range(count):
            instance.create_run_for_job(dg.job(name="everything")(lambda: None))


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb") as rest:
        while True:
            rest.write(bytes(4096))
            rest.flush()


def begun(instance: dg.DagsterInstance, *steps: str) -> dg.DagsterRun:
    """A run whose process is gone, in which these steps had begun."""
    tags = process_tags() | {"parler/process": "4711-1"}
    run = instance.create_run_for_job(dg.job(name="everything")(lambda: None), tags=tags)
    for step, kind in [(None, "PIPELINE_START"), *((step, "STEP_START") for step in steps)]:
        event = dg.DagsterEvent(kind, "everything", step_key=step)
        instance.handle_new_event(
            dg.EventLogEntry(None, 20, "", run.run_id, 1.0, step, "everything", dagster_event=event)
        )
    return run


KERNEL = {
    "named by the kernel": (b"3,1,2,-;Out of memory: Killed process 4711 (python) total-vm:1kB\n", "", "by the kernel"),
    "another was": (b"3,1,2,-;Out of memory: Killed process 47110 (python)\n", "oom_kill 0\n", "without a word"),
    "in a container": (b"", "low 0\noom 1\noom_kill 2\n", "the kernel has ended processes here"),
    "nothing known": (b"", "", "without a word"),
}


@pytest.mark.parametrize("case", KERNEL)
@pytest.mark.parametrize("steps", [(), ("studio__dac_codes",), ("studio__dac_codes", "check_x")])
def test_what_was_killed_says_so_at_the_next_start(tmp_path: Path, monkeypatch, caplog, case: str, steps):
    log, counts, said = KERNEL[case]
    (tmp_path / "kmsg").write_bytes(log)
    (tmp_path / "events").write_text(counts)
    monkeypatch.setattr(killed, "KMSG", tmp_path / "kmsg")
    monkeypatch.setattr(killed, "CGROUP", tmp_path / "events")
    with dg.DagsterInstance.ephemeral() as instance:
        run = begun(instance, *steps)
        assert free_dead_runs(instance) == [run.run_id]
        assert not free_dead_runs(instance)
    assert f"run {run.run_id[:8]} was" in caplog.text
    for word in (said, "while it made studio/dac_codes" if steps else "between two steps", "use smaller numbers"):
        assert word in caplog.text
