"""A request's body, read whole before the application starts: bounded in size and in time, whatever its headers say."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

DRAIN = 1.0  # seconds in which the rest of a body that is too large is thrown away, so that its sender reads why


class BodyRefused(Exception):
    """A body that is too large or too slow: the answer's status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """All of the body.

    Raises:
        BodyRefused: more than `most` bytes are announced or come, or not all within `seconds`.
    """
    headers = Headers(scope=scope)
    announced = headers.get("content-length", "0")
    if not announced.isdigit() or int(announced[:20]) > most:
        if "expect" not in headers:  # such a sender waits for a word before it sends anything
            await _drain(receive)
        raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            body, whole = await _collect(receive, most)
    except TimeoutError:
        raise BodyRefused(408, f"the body did not come within {seconds:g} s") from None
    if len(body) <= most:
        return body
    if not whole:
        await _drain(receive)
    raise _too_large(most)


async def _collect(receive: Receive, most: int) -> tuple[bytes, bool]:
    """The body, or a little more than `most` bytes of it; and whether that was all."""
    body, more = bytearray(), True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyRefused(400, "the client left before its body was there")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body), not more


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(DRAIN):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass


def _too_large(most: int) -> BodyRefused:
    return BodyRefused(413, f"the body has more than {most} bytes: send less at a time")


def replay(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then what else the server has to say (that the client left)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
