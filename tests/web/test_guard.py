"""What the guard lets in and refuses, by a table of hostile requests, and what one bad client costs the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from parler_assets.web.guard import Guard, PolicyError, policy_for
from parler_assets.web.server import BoundedProtocol, config

FRIEND = "https://studio.example"
JSON = {"content-type": "application/json"}
POLICY = policy_for(["Box.Example"], [FRIEND], acting=("/graphql",), body_bytes=1000, body_seconds=0.5)


class Impatient(BoundedProtocol):
    head_seconds, take_seconds, most = 0.6, 0.6, 8


@contextlib.contextmanager
def served(seen: list, protocol=Impatient):
    """The port of a guarded application that notes what reaches it."""

    async def answer(request):
        body = await request.body()
        seen.append((request.method, request.url.path, len(body)))
        return JSONResponse({"bytes": len(body)})

    async def endless(request):
        async def pieces():
            while True:
                yield b"x" * 65536

        return StreamingResponse(pieces())

    async def talk(websocket):
        await websocket.accept()
        seen.append(("WEBSOCKET", websocket.url.path, 0))
        await websocket.send_text("hello")
        await websocket.close()

    kinds = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]
    routes = [
        Route("/endless", endless),
        WebSocketRoute("/graphql", talk),
        Route("/{path:path}", answer, methods=kinds),
    ]
    app = Guard(Starlette(routes=routes), POLICY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = config(app, "127.0.0.1", port, "error", POLICY.body_bytes)
    settings.http = protocol
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port, server
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def port(seen):
    with served(seen) as (port, _):
        yield port


def raw(port: int, *lines: str, body: bytes = b"", host: str | None = "127.0.0.1") -> tuple[int, bytes]:
    """Status and all bytes of the answer to a request that is written by hand."""
    head = [lines[0], *([f"Host: {host}"] if host is not None else []), *lines[1:], "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall("\r\n".join(head).encode("latin-1") + body)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example",
        "evil.example#127.0.0.1", "127.0.0.1 evil.example", "127.0.0.1,evil.example", "127.0.0.2", "0.0.0.0",
        "2130706433", "0x7f.1", "localhost.", "[::2]", "[::1", "127.0.0.1:80:80", "127.0.0.1:", "127.0.0.1:abc",
        "", "xn--lcalhost-n4a", "[::ffff:127.0.0.1]", "box.example.evil",
    ],
)  # fmt: skip
def test_other_names_of_this_machine_are_not_served(port, seen, host):
    """A page under a name that its owner lets resolve to 127.0.0.1 is of the same origin as what it then reads."""
    before = len(seen)
    for line in ("GET /voices HTTP/1.1", "GET http://127.0.0.1/voices HTTP/1.1"):
        status, answer = raw(port, line, host=host)
        assert status in (400, 403), answer
    assert len(seen) == before


def test_a_request_with_two_hosts_or_none_is_refused(port, seen):
    before = len(seen)
    assert raw(port, "GET / HTTP/1.1", "Host: evil.example")[0] == 400
    assert raw(port, "GET / HTTP/1.1", host=None)[0] == 400
    assert raw(port, "GET / HTTP/1.0", host=None)[0] == 400
    assert len(seen) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST:8123", "box.example", "127.0.0.1:3000"])
def test_our_own_names_are_served_at_any_port(port, host):
    assert raw(port, "GET /voices HTTP/1.1", host=host)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "file://"}, {"origin": "http://127.0.0.1:1"},
        {"origin": "https://studio.example.evil"}, {"origin": "https://studio.example:8443"},
        {"origin": "http://studio.example"}, {"origin": "chrome-extension://abc"}, {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "Cross-Site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
        {"sec-fetch-site": "what-comes-next"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_pages_of_others_are_refused(port, seen, headers, method):
    before = len(seen)
    status = httpx.request(method, f"http://127.0.0.1:{port}/graphql", headers=JSON | headers).status_code
    assert status == 403
    assert len(seen) == before


@pytest.mark.parametrize("twice", [("Origin", "http://127.0.0.1"), ("Sec-Fetch-Site", "same-origin")])
def test_of_two_headers_none_is_believed(port, twice):
    name, good = twice
    assert raw(port, "GET / HTTP/1.1", f"{name}: {good}", f"{name}: http://evil.example")[0] == 400


def test_a_post_by_navigation_is_refused_even_to_visitors(port):
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    url = f"http://127.0.0.1:{port}/runs/1"
    assert httpx.get(url, headers=visit).status_code == 200, "a link in a mail may be followed"
    assert httpx.post(url, headers=visit | JSON, content="{}").status_code == 403
    assert httpx.get(url, headers={"sec-fetch-site": "none"}).headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize("site", ["same-origin", "cross-site", "same-site"])
def test_our_own_page_and_an_allowed_one_may_ask(port, site):
    own = {"origin": f"http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"}
    friend = {"origin": FRIEND, "sec-fetch-site": site}
    for headers in (own, friend):
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", headers=headers, json={"query": "{ version }"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        None, "", "text/plain", "text/plain;x=application/json", "text/plain, application/json", "application/graphql",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=application/json", "application/jsonp",
        "application/json+x", "*/*", "application / json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/graphql", "/v1/audio/speech", "/report_asset_materialization/x?data_version=1"])
def test_only_json_is_taken(port, seen, kind, path):
    """What else a form or a request without preflight can send."""
    before = len(seen)
    headers = {} if kind is None else {"content-type": kind}
    answer = httpx.post(f"http://127.0.0.1:{port}{path}", headers=headers, content=b'{"query": "mutation { x }"}')
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]
    assert len(seen) == before


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/json ;a=b"])
def test_json_is_taken_however_it_is_written(port, kind):
    answer = httpx.post(f"http://127.0.0.1:{port}/graphql", headers={"content-type": kind}, content=b"{}")
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/%67raphql", "/prefix/graphql"])
def test_nothing_is_asked_by_get(port, seen, method, path):
    before = len(seen)
    for accept in ("image/avif,*/*", "text/html"):
        url = f"http://127.0.0.1:{port}{path}?query=mutation%7Bx%7D"
        assert httpx.request(method, url, headers={"accept": accept}).status_code == 405
    assert len(seen) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PURGE"])
def test_methods_that_nobody_needs_are_refused(port, method):
    assert raw(port, f"{method} /graphql HTTP/1.1")[0] in (400, 405)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_foreign_web_sockets_are_refused(port, seen, origin):
    before = len(seen)
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{port}/graphql", origin=origin):
        pass
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(f"ws://127.0.0.1:{port}/graphql", additional_headers={"sec-fetch-site": "cross-site"}),
    ):
        pass
    assert len(seen) == before


@pytest.mark.parametrize("origin", [None, FRIEND, "http://127.0.0.1"])
def test_our_own_web_sockets_are_let_in(port, origin):
    own = f"{origin}:{port}" if origin == "http://127.0.0.1" else origin
    with connect(f"ws://127.0.0.1:{port}/graphql", origin=own) as talk:
        assert talk.recv(timeout=10) == "hello"


@pytest.mark.parametrize("bad", ["http://box", "box/x", "box:80", "bo x", "", "a,b"])
def test_hosts_are_written_without_scheme_and_port(bad):
    with pytest.raises(PolicyError, match="without scheme and port"):
        policy_for([bad])


@pytest.mark.parametrize("bad", ["*", "null", "studio.example", "ftp://a", "https://a/b", "https://", "https://a b"])
def test_origins_are_written_whole(bad):
    with pytest.raises(PolicyError, match="write https"):
        policy_for(origins=[bad])


@pytest.mark.parametrize("bound", ["192.168.1.5", "::1", "fe80::1", "box"])
def test_the_address_a_server_is_bound_to_is_one_of_its_hosts(bound):
    named = f"[{bound}]" if ":" in bound else bound
    assert named in policy_for(bound=bound).hosts
    assert policy_for(bound="0.0.0.0").hosts == policy_for().hosts


# ------------------------------------------------------------------------------------------------- one bad client


def test_a_body_is_bounded_whatever_its_length_says(port, seen):
    url, before = f"http://127.0.0.1:{port}/graphql", len(seen)
    assert httpx.post(url, headers=JSON, content=b" " * 1000).json() == {"bytes": 1000}
    assert httpx.post(url, headers=JSON, content=b" " * 1001).status_code == 413
    assert httpx.post(url, headers=JSON, content=iter([b" " * 600] * 2)).status_code == 413
    assert httpx.post(url, headers=JSON, content=iter([b" " * 65536] * 400)).status_code == 413
    for length in ("100000000000000000", "1001"):
        lines = ("Content-Type: application/json", f"Content-Length: {length}")
        status, answer = raw(port, "POST /graphql HTTP/1.1", *lines)
        assert status == 413
        assert b"1000 bytes" in answer
    assert len(seen) == before + 1


@pytest.mark.parametrize("lengths", [("9", "8"), ("4, 5",), ("-1",), ("1e3",), ("0x9",), ("9" * 23,)])
def test_lengths_that_are_none_are_refused(port, seen, lengths):
    before = len(seen)
    lines = ["Content-Type: application/json", *(f"Content-Length: {length}" for length in lengths)]
    assert raw(port, "POST /graphql HTTP/1.1", *lines, body=b"{}       ")[0] == 400
    assert len(seen) == before


def test_a_body_that_does_not_come_is_given_up(port, seen):
    before, started = len(seen), time.monotonic()
    status, answer = raw(
        port, "POST /graphql HTTP/1.1", "Content-Type: application/json", "Content-Length: 9", body=b"{"
    )
    assert status == 408
    assert b"within 0.5 s" in answer
    assert len(seen) == before
    assert time.monotonic() - started < 8


def test_a_body_that_comes_in_drops_is_given_up(port):
    head = b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(head)
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                line.sendall(b" ")
                time.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            assert b" 408 " in line.recv(65536)


@pytest.mark.parametrize("start", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"PRI * HTTP/2.0\r\n"])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_half_a_head_is_not_waited_for(port, start, before):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        if before:
            line.sendall(before)
            assert b" 200 " in line.recv(65536)
        if start:
            line.sendall(start)
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(65536) == b"", "closed without an answer"


def test_a_head_of_any_size_is_not_read(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line, contextlib.suppress(ConnectionError):
        line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for _ in range(1000):
            line.sendall(b"X: " + b"y" * 997 + b"\r\n")
        assert b" 400 " in line.recv(65536)


def test_half_requests_never_keep_others_out(seen):
    """Three times as many as there may be, held open; the honest one comes in the middle of them."""
    with served(seen) as (port, server), contextlib.ExitStack() as held:
        for number in range(24):
            line = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(b"GET / HTTP/1.1\r\n")
            if number % 8 == 7:
                assert httpx.get(f"http://127.0.0.1:{port}/voices", timeout=10).status_code == 200
        assert len(server.server_state.connections) <= Impatient.most


def test_an_answer_that_nobody_reads_is_given_up(seen):
    with served(seen) as (port, server), socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"GET /endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert settled(lambda: server.server_state.connections)
        assert settled(lambda: not server.server_state.connections)


def test_a_request_that_takes_long_to_answer_is_not_given_up(seen):
    """The deadline is for its head alone."""
    released = threading.Event()

    async def slow(scope, receive, send):
        while not released.is_set():
            await asyncio.sleep(0.05)
        body = json.dumps({}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": body})

    settings = config(Guard(slow, POLICY), "127.0.0.1", free := unused(), "error")
    settings.http, settings.lifespan = Impatient, "off"
    server = uvicorn.Server(settings)
    threading.Thread(target=server.run, daemon=True).start()
    threading.Timer(2 * Impatient.head_seconds, released.set).start()
    assert settled(lambda: server.started)
    assert httpx.get(f"http://127.0.0.1:{free}/", timeout=20).status_code == 200
    server.should_exit = True


def unused() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settled(condition, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
