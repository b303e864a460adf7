"""Dagster's page as `parler-assets dev` serves it: other sites' pages start no run in a real browser, our own does."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.browser import CHROMIUM, NEEDED, WAIT
from tests.support.server import Server, answers, dagster_dev, end, free_port, until
from tests.support.tiny import write_tiny_recipe

NAMES = ("evil.example", "127.0.0.1", "localhost")  # the last two are of our machine, on a port of their own
SELECTOR = '{repositoryLocationName: "parler_assets", repositoryName: "__repository__", pipelineName: "annotate"}'
COUNT = "{ runsOrError { ... on Runs { results { tags { key value } } } } }"


def mutation(who: str) -> str:
    """One that starts a run with `who` as its tag."""
    params = f'mode: "default", selector: {SELECTOR}, executionMetadata: {{tags: [{{key: "who", value: "{who}"}}]}}'
    return f"mutation {{ launchRun(executionParams: {{{params}}}) {{ __typename }} }}"


MUTATION = mutation("nobody")


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    """Where the server's temporary folders lie. Names of sockets may not be long."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.fixture(scope="module")
def server(tmp_path_factory, places: Path) -> Iterator[Server]:
    """In a folder that is a stranger's: nothing in it is run, though all of it would be by `dagster dev`."""
    folder = tmp_path_factory.mktemp("project")
    trap = f"open({str(folder / 'trapped')!r}, 'a').write(__name__ + chr(10))\n"
    for name in ("transformers", "yaml", "dagster", "pyarrow", "sitecustomize", "parler_assets", "trap"):
        (folder / f"{name}.py").write_text(trap)
    (folder / "workspace.yaml").write_text("load_from: [python_file: trap.py]\n")
    (folder / ".env").write_text(f"PYTHONPATH={folder}\nPARLER_RAY=ray://evil.example:1\n")
    (folder / "dagster_home").mkdir()
    (folder / "dagster_home" / "dagster.yaml").write_text("run_launcher: {module: trap, class: Launcher}\n")
    recipe = write_tiny_recipe(folder)
    with dagster_dev(recipe, folder / "home", folder / "data", cwd=folder, TMPDIR=str(places)) as server:
        yield server


def runs(server: Server) -> list[str]:
    """Who started each run so far; empty for the tests themselves."""
    found = server.ask(COUNT)["runsOrError"]["results"]
    return [next((tag["value"] for tag in run["tags"] if tag["key"] == "who"), "") for run in found]


def test_nothing_of_the_current_folder_is_run(server: Server):
    loaded = server.ask("{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }")
    assert loaded["workspaceOrError"]["locationEntries"] == [{"name": "parler_assets", "loadStatus": "LOADED"}]
    run = server.launch("annotate", assets=["studio/raw_dataset", "studio/continuous_tags"])
    assert server.finished(run) == "SUCCESS"
    assert not (server.home.parent / "trapped").exists()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", f"/graphql?query={quote(MUTATION)}", {}),
        ("GET", f"/graphql?query={quote(MUTATION)}", {"accept": "text/html"}),
        ("GET", f"/graphql?query={quote(COUNT)}", {}),
        ("HEAD", f"/graphql?query={quote(MUTATION)}", {}),
        ("POST", f"/graphql?query={quote(MUTATION)}", {}),
        ("POST", "/graphql", {"content-type": "text/plain;x=application/json"}),
        ("POST", "/graphql", {"content-type": "application/graphql"}),
        ("POST", "/graphql", {"content-type": "application/json", "origin": "http://evil.example"}),
        ("POST", "/graphql", {"content-type": "application/json", "sec-fetch-site": "same-site"}),
        ("POST", "/graphql", {"content-type": "application/json", "host": "evil.example"}),
        ("POST", "/report_asset_materialization/scorecard", {}),
        ("POST", "/report_asset_materialization/scorecard", {"origin": "null", "content-type": "application/json"}),
        ("GET", "/logs/x/y.out", {"sec-fetch-site": "cross-site"}),
        ("GET", "/", {"host": "evil.example"}),
    ],
)
def test_what_is_not_asked_by_our_page_is_refused(server: Server, method, path, headers):
    before = runs(server)
    body = json.dumps({"query": MUTATION}).encode() if method == "POST" and "?" not in path else None
    answer = httpx.request(method, server.url + path, headers=headers, content=body)
    assert answer.status_code in (403, 405, 415)
    assert runs(server) == before


@pytest.mark.parametrize(
    "config",
    [
        {"workspace": {"config": {"recipe": "../../elsewhere"}}},
        {"workspace": {"config": {"recipe": "expresso"}}},
        {"workspace": {"config": {"folder": "/tmp"}}},
        {"workspace": {"config": {"folder": "data/../.."}}},
        {"accelerator": {"config": {"ray": "ray://evil.example:10001"}}},
    ],
)
def test_a_runs_configuration_chooses_no_place(server: Server, config):
    """Even of a page that is let in: where a run writes and who may send it code is not for the Launchpad."""
    selector = {
        "repositoryLocationName": "parler_assets",
        "repositoryName": "__repository__",
        "pipelineName": "annotate",
    }
    params = {"selector": selector, "mode": "default", "runConfigData": {"resources": config}}
    query = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"
    assert server.ask(query, p=params)["launchRun"]["__typename"] == "RunConfigValidationInvalid"


def test_a_web_socket_runs_no_mutation_and_serves_no_other_site(server: Server):
    address, before = server.url.replace("http", "ws") + "/graphql", runs(server)
    with pytest.raises(InvalidStatus, match="403"), connect(address, origin="http://evil.example"):
        pass
    with connect(address, origin=server.url, subprotocols=["graphql-ws"]) as talk:
        talk.send(json.dumps({"type": "start", "id": "1", "payload": {"query": MUTATION}}))
        assert "launchRun" in talk.recv(timeout=20)
    assert runs(server) == before


# ------------------------------------------------------------------------------------------------ in a real browser


@pytest.fixture(scope="module")
def foreign() -> Iterator[int]:
    """The port of a web server with an empty page."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>foreign</title><body></body>")

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_port
    site.shutdown()


@pytest.fixture(scope="module")
def window():
    """A browser in which evil.example is this machine, as a name server that rebinds would have it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        rules = ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=rules)
        yield browser.new_context(viewport={"width": 1600, "height": 1300})
        browser.close()


# Each tries to start a run by the mutation `m`, and answers when its request is over, or after 20 s: a browser does not
# tell of the end of every request that is refused.
ATTACKS = {
    "an image": "const i = new Image(); i.onload = i.onerror = done; i.src = asked",
    "a script": """const s = document.createElement('script'); s.onload = s.onerror = done; s.src = asked;
        document.body.append(s)""",
    "a style sheet": """const s = document.createElement('link'); s.rel = 'stylesheet'; s.onload = s.onerror = done;
        s.href = asked; document.head.append(s)""",
    "a simple fetch": """fetch(url, {method: 'POST', mode: 'no-cors', body: json,
        headers: {'content-type': 'text/plain;x=application/json'}}).finally(done)""",
    "a fetch without type": "fetch(asked, {method: 'POST', mode: 'no-cors'}).finally(done)",
    "a beacon": "navigator.sendBeacon(asked, json); setTimeout(done, 2000)",
    "a form": """const f = document.createElement('form'); f.method = 'POST'; f.enctype = 'text/plain';
        f.action = asked; f.target = '_blank'; document.body.append(f); f.submit(); setTimeout(done, 2000)""",
    "a sandboxed frame": """const f = document.createElement('iframe'); f.sandbox = 'allow-scripts';
        f.srcdoc = `<script>fetch('${asked}', {method: 'POST', mode: 'no-cors'})</script>`;
        document.body.append(f); setTimeout(done, 2000)""",
    "a frame": """const f = document.createElement('iframe'); f.onload = done; f.src = asked;
        document.body.append(f)""",
    "a window": "window.open(asked); setTimeout(done, 2000)",
    "a fetch with preflight": """fetch(url, {method: 'POST', body: json,
        headers: {'content-type': 'application/json'}}).catch(() => 0).finally(done)""",
    "a web socket": """const s = new WebSocket(url.replace('http', 'ws'), 'graphql-ws');
        s.onclose = s.onerror = s.onmessage = done;
        s.onopen = () => s.send(JSON.stringify({type: 'start', id: '1', payload: {query: m}}))""",
}
# What Dagster's own page withstands: it answers a visit by a form to ask with, allows no origin, and its sockets only
# subscribe.
WITHSTOOD = {"a frame", "a window", "a fetch with preflight", "a web socket"}
TRY = """([url, m]) => new Promise(done => { setTimeout(done, 20000); const json = JSON.stringify({query: m});
    const asked = url + '?query=' + encodeURIComponent(m); %s })"""


def attack(window, server: Server, foreign: int, name: str) -> None:
    """All attacks at once, from a page of the host `name`. A run that one of them starts has its name as a tag."""
    page = window.new_page()
    page.goto(f"http://{name}:{foreign}/")
    tries = ", ".join(f"({TRY % script})([url, {json.dumps(mutation(who))}])" for who, script in ATTACKS.items())
    page.evaluate(f"url => Promise.all([{tries}])", f"{server.url}/graphql")
    for opened in window.pages:
        opened.close()


@pytest.fixture
def unguarded(server: Server, places: Path, tmp_path: Path) -> Iterator[Server]:
    """Dagster's own page over the same code location. No daemon belongs to it: runs are queued and cost nothing."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (workspace,) = places.glob("parler-*/workspace.yaml")
    port = free_port()
    command = [Path(sys.executable).with_name("dagster-webserver"), "-w", workspace, "-p", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "DAGSTER_HOME": str(tmp_path)}, start_new_session=True)
    try:
        bare = Server(f"http://127.0.0.1:{port}", tmp_path)
        until(lambda: answers(bare.url, process), 120)
        yield bare
    finally:
        end(process)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=NEEDED[1].kwargs["reason"])
def test_without_the_guard_a_foreign_page_starts_runs(window, unguarded: Server, foreign: int):
    """The control: these attacks are real, and it is the guard that they fail at."""
    attack(window, unguarded, foreign, "evil.example")
    wanted = ATTACKS.keys() - WITHSTOOD
    with contextlib.suppress(TimeoutError):
        until(lambda: wanted <= {*runs(unguarded)}, 10)
    assert {*runs(unguarded)} >= wanted


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=NEEDED[1].kwargs["reason"])
@pytest.mark.parametrize("name", NAMES)
def test_a_foreign_page_starts_no_run(window, server: Server, foreign: int, name: str):
    before = runs(server)
    attack(window, server, foreign, name)
    assert runs(server) == before


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=NEEDED[1].kwargs["reason"])
def test_a_page_under_a_name_that_resolves_to_this_machine_reads_and_starts_nothing(window, server: Server):
    """DNS rebinding: to the browser this is one site, so that no header of another one is sent."""
    before, page = runs(server), window.new_page()
    assert page.goto(server.url.replace("127.0.0.1", "evil.example") + "/server_info").status == 403
    asked = """async m => { const answer = await fetch('/graphql', {method: 'POST',
        headers: {'content-type': 'application/json'}, body: JSON.stringify({query: m})}); return answer.status }"""
    assert page.evaluate(asked, COUNT) == 403
    assert page.evaluate(asked, MUTATION) == 403
    assert runs(server) == before
    page.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=NEEDED[1].kwargs["reason"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_our_own_page_starts_a_run(window, server: Server, name: str):
    before, page = runs(server), window.new_page()
    page.set_default_timeout(WAIT)
    refused = []
    page.on("response", lambda answer: answer.status in (403, 405, 413, 415) and refused.append(answer.url))
    page.goto(server.url.replace("127.0.0.1", name) + "/assets/studio/raw_dataset", wait_until="domcontentloaded")
    page.get_by_role("button", name="Materialize").first.click()
    until(lambda: len(runs(server)) == len(before) + 1, 120)
    assert refused == []
    page.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=NEEDED[1].kwargs["reason"])
def test_a_link_to_our_page_may_be_followed_but_not_framed(window, server: Server, foreign: int):
    page = window.new_page()
    page.goto(f"http://evil.example:{foreign}/")
    page.evaluate("url => { location.href = url }", f"{server.url}/asset-groups")
    page.wait_for_url(f"{server.url}/**")
    page.get_by_text("Materialize all").first.wait_for(timeout=WAIT)
    page.goto(f"http://evil.example:{foreign}/")
    answers = []
    page.on("response", lambda answer: answer.url.startswith(server.url) and answers.append(answer.status))
    page.evaluate("url => { document.body.innerHTML = `<iframe src='${url}'></iframe>` }", f"{server.url}/asset-groups")
    page.wait_for_timeout(2000)
    assert answers == [403]
    (frame,) = page.frames[1:]  # the browser's own page of an error, which has the host as its title
    assert not frame.url.startswith("http")
    assert frame.locator("#root, script[src*=static]").count() == 0
    page.close()
