"""Failed runs told to a webhook: where it may be, what is sent, and that nothing secret is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest

from parler_assets.automation import failed_runs
from parler_assets.recipe import load_recipe
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.webhook import VARIABLE, WebhookError, webhook

SECRET = "canary-0815"


@dataclass
class Channel:
    """A chat's webhook on this machine: what it was sent, and what it answers."""

    url: str = ""
    status: int = 200
    received: list[dict] = field(default_factory=list)


@pytest.fixture
def channel(monkeypatch) -> Iterator[Channel]:
    channel = Channel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            channel.received.append(json.loads(body))
            self.send_response(channel.status)
            self.send_header("Location", f"{channel.url}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        channel.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        monkeypatch.setenv(VARIABLE, channel.url)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # what stays on this machine goes through no proxy
        yield channel
        server.shutdown()


@pytest.fixture(scope="module")
def failure() -> Iterator[tuple[dg.DagsterInstance, dg.ExecuteInProcessResult]]:
    @dg.asset
    def text_bins() -> None:
        raise RuntimeError(f"https://ann:{SECRET}@example.org/ refused the key {SECRET}")

    with dg.DagsterInstance.ephemeral() as instance:
        yield instance, dg.materialize([text_bins], instance=instance, raise_on_error=False, tags={"key": SECRET})


def tick(failure) -> dg.SkipReason | None:
    instance, result = failure
    (event,) = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
    context = dg.build_run_status_sensor_context(
        "failed_runs", event, instance, result.dagster_run, resources={"tracking": Tracking()}
    ).for_run_failure()
    return failed_runs(load_recipe("sample"))(context)


def test_a_failed_run_is_told_with_its_step_and_a_link_and_no_secret(failure, channel: Channel):
    assert tick(failure) is None
    (sent,) = channel.received
    run = failure[1].dagster_run.run_id
    assert sent == {
        "text": f"Recipe sample: run {run[:8]} of __ephemeral_asset_job__ failed at text_bins. "
        f"http://127.0.0.1:3000/runs/{run}"
    }
    assert SECRET not in json.dumps(sent)


@pytest.mark.parametrize("status", [301, 307, 308, 403, 404, 500])
def test_a_webhook_that_does_not_take_it_is_named_without_its_key_and_not_followed(failure, channel: Channel, status):
    channel.status = status
    with pytest.raises(WebhookError, match=rf"the webhook at 127\.0\.0\.1 answered {status}") as raised:
        tick(failure)
    assert len(channel.received) == 1
    assert SECRET not in str(raised.value)


def test_a_webhook_that_is_gone_and_one_that_was_never_named(failure, monkeypatch):
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:9/{SECRET}")
    with pytest.raises(WebhookError, match="could not be reached") as raised:
        tick(failure)
    assert SECRET not in str(raised.value)
    monkeypatch.setenv(VARIABLE, " ")
    assert tick(failure).skip_message == f"{VARIABLE} is not set: nobody is told"


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.example.org/services/T0/B0",
        "https://10.1.2.3/hook",
        "http://127.0.0.1:9000/hook",
        "http://127.1.2.3/hook",
        "http://localhost/hook",
        "http://[::1]:9000/hook",
        " https://hooks.example.org/hook\n",
    ],
)
def test_addresses_that_are_used(monkeypatch, address: str):
    monkeypatch.setenv(VARIABLE, address)
    assert webhook() == address.strip()


@pytest.mark.parametrize(
    "address",
    [
        f"http://hooks.example.org/{SECRET}",
        f"http://127.0.0.1.example.org/{SECRET}",
        f"http://localhost@example.org/{SECRET}",
        f"http://localhost.example.org/{SECRET}",
        f"http://0.0.0.0/{SECRET}",
        f"http://10.1.2.3/{SECRET}",
        f"http://[fe80::1]/{SECRET}",
        f"http://2130706434/{SECRET}",
        f"https:///{SECRET}",
        f"https://[/{SECRET}",
        f"https://example.org:port/{SECRET}",
        f"ftp://127.0.0.1/{SECRET}",
        f"file:///{SECRET}",
        f"hooks.example.org/{SECRET}",
        SECRET,
    ],
)
def test_addresses_that_are_refused_without_being_repeated(monkeypatch, address: str):
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(WebhookError, match="set it to an https:// address") as raised:
        webhook()
    assert SECRET not in str(raised.value)
