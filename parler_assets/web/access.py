"""Who may ask and by which name a request is known: an API key, and an id in every answer and log line."""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY_VARIABLE = "PARLER_API_KEY"  # the environment variable of a server's key
REQUEST_ID = "x-request-id"
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
LEAST_KEY = 16  # characters


class KeyRefused(ValueError):
    """A key that is none; the message says how to set one."""


def checked_key(key: str | None, open_to_others: bool) -> str | None:
    """The key that requests must bring; None where none is set and only this machine asks.

    Raises:
        KeyRefused: too short, or missing where other machines can ask.
    """
    key = (key or "").strip()
    if not key and open_to_others:
        raise KeyRefused(
            f"other machines could ask this server: set {KEY_VARIABLE} to a key that clients bring, such as the output "
            "of `openssl rand -hex 24`"
        )
    if key and (len(key) < LEAST_KEY or not key.isascii()):
        raise KeyRefused(f"{KEY_VARIABLE} is too short or not ASCII: use at least {LEAST_KEY} characters")
    return key or None


class KeyGate:
    """ASGI middleware: without the key as `Authorization: Bearer`, nothing but the `public` paths is answered."""

    def __init__(self, app: ASGIApp, key: str | None, public: Collection[str] = ()) -> None:
        self.app, self.public = app, frozenset(public)
        self._expected = f"Bearer {key}".encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._expected is None or self._admits(scope):
            return await self.app(scope, receive, send)
        message = "a valid API key is needed: send Authorization: Bearer KEY"
        told = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        body = json.dumps({"error": told}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        return await send({"type": "http.response.body", "body": body})

    def _admits(self, scope: Scope) -> bool:
        if scope["path"] in self.public:
            return True
        given = Headers(scope=scope).get("authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(given, self._expected or b"")


class RequestIds:
    """ASGI middleware: each request has an id, its client's where that is usable, and its answer has it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get(REQUEST_ID, "")
        own = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = own

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = own
            await send(message)

        return await self.app(scope, receive, told)
