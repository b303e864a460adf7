"""What runs by itself, and what is killed comes back: a step, a run, the daemon, two runs at once.

Real servers in the layout of deploy/.

A code server, a webserver and a daemon are processes of their own, as in deploy/compose.yaml; the instance is the
project's dagster.yaml, looked after every two seconds instead of every two minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml

from parler_assets import storage
from parler_assets.resources.workspace import INSTANCE_SETTINGS
from parler_assets.storage import Part
from tests.support.server import ROOT, Server, answers, end, free_port, until
from tests.support.slow_location import SHARDS
from tests.support.standin_hub import Repository, StandinHub, standin_hub

LOCATION = "slow"


@dataclass
class Layout:
    """The three servers and a Hub; a daemon that was killed can be started again."""

    folder: Path
    server: Server
    daemon: subprocess.Popen
    hub: StandinHub

    def start_daemon(self) -> None:
        self.daemon = start(self.folder, "dagster-daemon", "run", "-w", "workspace.yaml")

    @property
    def instance(self) -> dg.DagsterInstance:
        """The servers' own, to look into."""
        return dg.DagsterInstance.from_config(str(self.folder))

    def made(self, name: str) -> dict[int, tuple[int, int]]:
        """Shard to the processes of the step that made it and of its run."""
        files = (self.folder / name / "makers").glob("*")
        return {int(file.name): tuple(map(int, file.read_text().split())) for file in files if file.read_text()}

    def when_some_are_made(self, name: str) -> tuple[int, int]:
        """The processes of the step and of the run, once three shards are there."""
        until(lambda: len(self.made(name)) >= 3, 240, pause=0.05)
        return self.made(name)[0]

    def run(self, name: str) -> str:
        return self.server.launch("slow", {"ops": {"on_gpu": {"config": {"name": name}}}})


def start(folder: Path, tool: str, *arguments: str, **more: str) -> subprocess.Popen:
    environment = {"DAGSTER_HOME": str(folder), "SLOW_FOLDER": str(folder), "PYTHONPATH": str(ROOT), **more}
    log = (folder / f"{tool}.log").open("a")
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    settings = {**os.environ, **environment, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True)


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Iterator[Layout]:
    folder, code, web = tmp_path_factory.mktemp("faults"), str(free_port()), str(free_port())
    instance = yaml.safe_load(INSTANCE_SETTINGS.read_text())
    instance["run_monitoring"] |= {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 1}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(instance))
    grpc = {"host": "127.0.0.1", "port": int(code), "location_name": LOCATION}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": grpc}]}))
    # Made before anybody else looks: Dagster's processes that create one database at once spoil it for all.
    dg.DagsterInstance.from_config(str(folder)).dispose()
    module = ["-m", "tests.support.slow_location", "--location-name", LOCATION]
    with standin_hub() as hub:
        address = ["code-server", "start", "-h", "127.0.0.1", "-p", code]
        servers = [start(folder, "dagster", *address, *module, HF_ENDPOINT=hub.url)]
        servers.append(start(folder, "dagster-webserver", "-h", "127.0.0.1", "-p", web, "-w", "workspace.yaml"))
        layout = Layout(folder, Server(f"http://127.0.0.1:{web}", folder, LOCATION), servers[0], hub)
        layout.start_daemon()
        try:
            until(lambda: answers(layout.server.url, servers[1]), 120)
            until(lambda: is_loaded(layout.server), 120)
            yield layout
        finally:
            for process in (layout.daemon, *servers):
                end(process)


def is_loaded(server: Server) -> bool:
    """Whether the code location is there; one that was not up yet is asked for again."""
    asked = "workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }"
    (entry,) = server.ask(f"{{ {asked} }}")["workspaceOrError"]["locationEntries"]
    if entry["locationOrLoadError"] and entry["locationOrLoadError"]["__typename"] == "RepositoryLocation":
        return True
    server.ask(f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{LOCATION}") {{ __typename }} }}')
    return False


def goes_on(layout: Layout, name: str, before: dict) -> None:
    """Whoever builds this stage next makes the shards that are missing: at most the one in progress is made twice."""
    assert 3 <= len(before) < SHARDS
    made: list[int] = []
    storage.build(layout.folder / name, "f", SHARDS, lambda i: made.append(i) or Part(pa.table({"id": [str(i)]})))
    assert len(made) + len(before) - SHARDS in (0, 1)
    assert storage.read(layout.folder / name)["id"].to_pylist() == [str(index) for index in range(SHARDS)]


def test_a_new_commit_on_the_hub_becomes_a_run_of_what_depends_on_it_by_nobodys_hand(layout: Layout):
    """The daemon fires our sensor and our schedule; only the schedule's hour is another: every minute."""
    raw, reported = dg.AssetKey(["expresso", "raw_dataset"]), dg.AssetKey(["expresso", "hub_dataset"])
    first = dg.AssetMaterialization(reported, tags={"dagster/data_version": "an older commit"})
    with layout.instance as instance:
        instance.report_runless_asset_event(first)
        assert layout.server.finished(layout.server.launch("everything")) == "SUCCESS"
        sha = layout.hub.repositories.setdefault("datasets/ylacombe/expresso", Repository()).commit("newer")
        sensor = layout.server.switch_on("Sensor", "hub_revisions")
        until(lambda: version_of(instance, reported) == sha, 120)
        schedule = layout.server.switch_on("Schedule", "rebuild_what_changed")
        fired = dg.RunsFilter(tags={"dagster/schedule_name": "rebuild_what_changed"})
        (run,) = until(lambda: instance.get_runs(fired), 120)
        layout.server.switch_off("Schedule", schedule)
        layout.server.switch_off("Sensor", sensor)
        assert layout.server.finished(run.run_id) == "SUCCESS"
        assert run.asset_selection == {raw}
        built = instance.get_latest_materialization_event(raw)
        assert built
        assert built.run_id == run.run_id


def version_of(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str | None:
    event = instance.get_latest_materialization_event(asset)
    found = event.asset_materialization if event else None
    return (found.tags or {}).get("dagster/data_version") if found else None


def test_a_killed_step_fails_its_run_and_reexecution_goes_on_where_it_was(layout: Layout):
    run = layout.run("step")
    step, _ = layout.when_some_are_made("step")
    os.kill(step, signal.SIGKILL)
    assert layout.server.finished(run) == "FAILURE"
    before = layout.made("step")
    assert layout.server.finished(layout.server.reexecute(run)) == "SUCCESS"
    after = layout.made("step")
    assert 3 <= len(before) < len(after) == SHARDS
    assert sum(after[index] != before[index] for index in before) <= 1  # the shard in progress
    assert until(lambda: layout.server.slots() == 0, 240)


def test_runs_outlive_the_daemon_queued_ones_wait_for_the_next_and_a_killed_run_is_noticed(layout: Layout):
    running = layout.run("running")
    layout.when_some_are_made("running")
    os.killpg(layout.daemon.pid, signal.SIGKILL)
    layout.daemon.wait()
    queued = layout.run("queued")
    assert layout.server.finished(running) == "SUCCESS"
    assert layout.server.run_status(queued) == "QUEUED"
    layout.start_daemon()
    for process in layout.when_some_are_made("queued"):
        os.kill(process, signal.SIGKILL)
    assert layout.server.finished(queued) == "FAILURE"
    assert until(lambda: layout.server.slots() == 0, 240)
    goes_on(layout, "queued", layout.made("queued"))


def test_two_runs_of_one_asset_compute_it_once_while_a_third_is_terminated(layout: Layout):
    terminated, *runs = layout.run("ended"), layout.server.launch("both"), layout.server.launch("both")
    step, _ = layout.when_some_are_made("ended")
    layout.server.terminate(terminated)
    assert layout.server.finished(terminated) == "CANCELED"
    assert not Path(f"/proc/{step}").exists()
    assert until(lambda: layout.server.slots() == 0, 240)
    goes_on(layout, "ended", layout.made("ended"))
    assert [layout.server.finished(run) for run in runs] == ["SUCCESS", "SUCCESS"]
    made = layout.made("shared")
    assert len(made) == SHARDS
    assert len(set(made.values())) == 1
