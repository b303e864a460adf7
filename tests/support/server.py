"""A real Dagster server on loopback: `parler-assets dev` with its own DAGSTER_HOME, ended with all that it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from parler_assets.resources.workspace import INSTANCE_SETTINGS

ROOT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 180, 60


class Server:
    """What a browser and GraphQL see under `url`."""

    def __init__(self, url: str, home: Path, location: str = "parler_assets") -> None:
        self.url, self.home, self.location = url, home, location

    def ask(self, query: str, **variables) -> dict:
        """A GraphQL answer's data."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def launch(self, job: str, config: dict | None = None, assets: Sequence[str] = ()) -> str:
        """Start a run of a job, or of some of its assets, as the UI does; its id."""
        selector = {"repositoryLocationName": self.location, "repositoryName": "__repository__", "pipelineName": job}
        if assets:
            selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
        params = {"selector": selector, "mode": "default", "runConfigData": config or {}}
        return self._launched("launchRun($params: ExecutionParams!)", "launchRun(executionParams: $params)", params)

    def reexecute(self, run: str) -> str:
        """What the UI's button "Re-execute from failure" does; the new run's id."""
        params = {"parentRunId": run, "strategy": "FROM_FAILURE"}
        call = "launchRunReexecution(reexecutionParams: $params)"
        return self._launched("again($params: ReexecutionParams!)", call, params)

    def _launched(self, signature: str, call: str, params: dict) -> str:
        wanted = "__typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }"
        (answer,) = self.ask(f"mutation {signature} {{ {call} {{ {wanted} }} }}", params=params).values()
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def terminate(self, run: str) -> None:
        query = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
        assert self.ask(query, id=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def switch_on(self, kind: str, name: str) -> str:
        """Switch a "Schedule" or a "Sensor" on, as the UI's toggle does; the id to switch it off by."""
        low = kind.lower()
        place = {"repositoryLocationName": self.location, "repositoryName": "__repository__", f"{low}Name": name}
        wanted = f"... on {kind} {{ {low}State {{ id }} }}"
        if kind == "Schedule":
            wanted = "... on ScheduleStateResult { scheduleState { id } }"
        signature, call = f"mutation($s: {kind}Selector!)", f"start{kind}({low}Selector: $s)"
        (answer,) = self.ask(f"{signature} {{ {call} {{ __typename {wanted} }} }}", s=place).values()
        return answer[f"{low}State"]["id"]

    def switch_off(self, kind: str, id: str) -> None:
        call = {"Schedule": "stopRunningSchedule", "Sensor": "stopSensor"}[kind]
        (answer,) = self.ask(f"mutation($id: String!) {{ {call}(id: $id) {{ __typename }} }}", id=id).values()
        assert "Error" not in answer["__typename"], answer

    def slots(self, pool: str = "gpu") -> int:
        """How many slots of a pool are held."""
        query = "query($pool: String) { instance { concurrencyLimit(concurrencyKey: $pool) { activeSlotCount } } }"
        return self.ask(query, pool=pool)["instance"]["concurrencyLimit"]["activeSlotCount"]

    def run_status(self, run: str) -> str:
        return self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run)["runOrError"][
            "status"
        ]

    def finished(self, run: str, seconds: float = 300) -> str:
        """The status a run ends with."""
        return until(lambda: (s := self.run_status(run)) in ("SUCCESS", "FAILURE", "CANCELED") and s, seconds)


@contextlib.contextmanager
def dagster_dev(recipe: Path | str, home: Path, data: Path, cwd: Path = ROOT, **environment: str) -> Iterator[Server]:
    """`parler-assets dev` over a recipe; `home` gets the project's dagster.yaml."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(INSTANCE_SETTINGS.read_text())
    port = free_port()
    command = [Path(sys.executable).with_name("parler-assets"), "dev", "--recipe", recipe, "--port", port]
    settings = {"DAGSTER_HOME": str(home), "PARLER_DATA": str(data), **environment}
    log = (home / "server.log").open("w")
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **settings},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url, process), START_SECONDS)
        yield Server(url, home)
    finally:
        end(process)
        log.close()


def end(process: subprocess.Popen) -> None:
    """Ask the whole group to end, then make it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(condition, seconds: float, pause: float = 0.3):
    """What `condition` gives once it gives something.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError(f"not within {seconds} s: {condition}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str, process: subprocess.Popen) -> bool:
    assert process.poll() is None, "the server ended; see its log"
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
