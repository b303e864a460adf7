"""`parler-assets mlflow`: an address with a password is in no argument of any process, for as long as the page runs."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.server import end, free_port, until

SECRET = "hunter2-secret"


def arguments(session: int) -> dict[int, str]:
    """Process to its arguments, as everyone on the machine sees them, of one session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue
    return found


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "uri", [f"sqlite:///{{folder}}/user:{SECRET}@host/mlflow.db", f"http://user:{SECRET}@127.0.0.1:9"]
)
def test_an_address_with_a_password_is_no_argument(tmp_path: Path, uri: str):
    (tmp_path / f"user:{SECRET}@host").mkdir()
    port = free_port()
    settings = {"DAGSTER_HOME": str(tmp_path / "home"), "PARLER_DATA": str(tmp_path / "data")}
    settings["MLFLOW_TRACKING_URI"] = uri.format(folder=tmp_path)
    command = [Path(sys.executable).with_name("parler-assets"), "mlflow", "--recipe", "sample", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | settings, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    seen: dict[int, str] = {}

    def over() -> bool:
        seen.update({pid: f"{seen.get(pid, '')}\n{line}" for pid, line in arguments(process.pid).items()})
        return process.poll() is not None or answers(f"http://127.0.0.1:{port}")

    try:
        until(over, 240, pause=0.1)
        assert process.poll() is None or uri.startswith("http"), (tmp_path / "log").read_text()
        over()
    finally:
        end(process)
    assert any(" ui " in line and str(port) in line for line in seen.values())  # it is MLflow that was looked at
    assert not any(SECRET in line for line in seen.values())
