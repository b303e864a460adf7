"""One ASGI guard in front of `serve` and of Dagster's page: who may ask, by what method, and with how large a body.

Browsers run pages of strangers, and those may send requests to this machine. What keeps them out: a page under another
name (DNS rebinding) has another `Host`; a foreign page's requests carry its `Origin` or `Sec-Fetch-Site`; what acts
takes JSON by POST alone, which a foreign page cannot send before its origin was asked about. Programs such as curl send
none of these headers and are let in: whoever runs programs here needs no page.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parler_assets.web.body import BodyRefused, read_body, replay

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_OURS = {b"x-frame-options": b"SAMEORIGIN", b"x-content-type-options": b"nosniff"}


class PolicyError(ValueError):
    """A host or an origin that cannot be allowed; the message says how to write it."""


class Refused(Exception):
    """A request that is not let in: its status, and what to change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Policy:
    """What a guard lets in.

    Attributes:
        hosts: names a `Host` header may have, without port; IPv6 addresses in brackets.
        origins: foreign origins, such as `https://studio.example`, whose pages may ask; their own is always let in.
        acting: ends of paths that act on what is asked, so that a GET with a query is refused there.
        body_bytes: largest body.
        body_seconds: by when all of it must have come.
    """

    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    acting: tuple[str, ...] = ()
    body_bytes: int = 1 << 20
    body_seconds: float = 20.0


def policy_for(hosts: Iterable[str] = (), origins: Iterable[str] = (), bound: str = "127.0.0.1", **limits) -> Policy:
    """A policy for a server on the address `bound`: loopback's names and that address are let in beside `hosts`.

    Raises:
        PolicyError: a host with a scheme, port or path; an origin with a path, or without scheme.
    """
    named = {_bracketed(host.strip().lower()) for host in hosts}
    if bound not in ("0.0.0.0", "::", ""):
        named.add(_bracketed(bound.lower()))
    for host in named:
        if not (found := _HOST.fullmatch(host)) or found["name"] != host:
            raise PolicyError(
                f"the host {host!r} cannot be allowed: write a name or an address, without scheme and port"
            )
    foreign = {origin.strip().lower().rstrip("/") for origin in origins}
    for origin in foreign:
        scheme, _, host = origin.partition("://")
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            raise PolicyError(f"the origin {origin!r} cannot be allowed: write https://name or http://name:port")
    return Policy(LOOPBACK | named, frozenset(foreign), **limits)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") and "/" not in host else host


class Guard:
    """ASGI middleware that refuses what `policy` does not let in, before the application sees anything of it."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        try:
            admit(scope, self.policy)
            if scope["type"] == "websocket":
                return await self.app(scope, receive, send)
            body = await read_body(scope, receive, self.policy.body_bytes, self.policy.body_seconds)
        except (Refused, BodyRefused) as refusal:
            return await _refuse(scope, receive, send, refusal)
        return await self.app(scope, replay(body, receive), _with_headers(send))


def admit(scope: Scope, policy: Policy) -> None:
    """Let a request or a web socket in.

    Raises:
        Refused: its host, origin, method or content type is not let in.
    """
    headers = Headers(scope=scope)
    host = _one(headers, "host").lower()
    found = _HOST.fullmatch(host)
    if not found or found["name"] not in policy.hosts:
        raise Refused(
            403, f"host {host[:80]!r} is not served here: use 127.0.0.1, or start the server with --allow-host"
        )
    _check_origin(scope, headers, host, policy)
    if scope["type"] == "http":
        _check_method(scope, headers, policy)


def _check_origin(scope: Scope, headers: Headers, host: str, policy: Policy) -> None:
    """A browser's request comes from a page of ours, from one that is allowed, or is somebody's visit of a page."""
    origin = _one(headers, "origin", "").lower()
    known = origin in policy.origins
    if origin and not known and origin not in (f"http://{host}", f"https://{host}"):
        raise Refused(403, f"pages of {origin[:80]!r} may not ask here; `serve --allow-origin` lets one in")
    site = _one(headers, "sec-fetch-site", "none").lower()
    if site in ("same-origin", "none") or known:
        return
    visit = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if not (visit and scope["type"] == "http" and scope["method"] in ("GET", "HEAD")):
        raise Refused(403, f"another site's page may not ask here (Sec-Fetch-Site: {site[:40]})")


def _check_method(scope: Scope, headers: Headers, policy: Policy) -> None:
    """Reading is by GET and changes nothing; everything else is JSON by POST."""
    method = scope["method"]
    if method not in METHODS:
        raise Refused(405, f"the method {method[:20]} is not used here")
    acts = scope["path"].rstrip("/").endswith(policy.acting) if policy.acting else False
    if acts and method != "POST" and scope["query_string"]:
        raise Refused(405, "questions are asked by POST here, with a body of JSON")
    if method == "POST":
        kind = _one(headers, "content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "send a body of JSON, with `content-type: application/json`")


def _one(headers: Headers, name: str, default: str | None = None) -> str:
    """The value of a header that may stand once: of two, one reader would see the first and another the last."""
    values = headers.getlist(name)
    if len(values) > 1 or (not values and default is None):
        raise Refused(400, f"the request has {len(values)} headers `{name}`: send one")
    return values[0].strip() if values else default or ""


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refused | BodyRefused) -> None:
    """The answer to what is not let in, after which the connection closes: its body may not have been read."""
    log.warning("refused %s %r: %s", scope.get("method", "websocket"), scope["path"][:200], refusal)
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.close", "code": 1008})
    told = {"error": {"message": str(refusal), "type": "invalid_request_error"}}
    body = json.dumps(told).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *_OURS.items(),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    return await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """Answers that no foreign page can frame, and no browser takes for another kind of file."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _OURS.items():
                headers.setdefault(name.decode(), value.decode())
        await send(message)

    return told
