"""A guarded application on a port: connections that wait for nothing are closed, however many a client opens.

uvicorn bounds a connection only between two requests. Here the head of a request must come in time, an answer must be
taken in time, and where too many connections are open the one that has waited longest for its request makes room,
first of the address that holds the most: half requests never keep others out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for the request line and the headers
TAKE_SECONDS = 60.0  # for a client that has stopped reading its answer
CONNECTIONS = 128
HEAD_BYTES = 32 << 10


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for heads and for unread answers, and a bound on connections."""

    head_seconds, take_seconds, most = HEAD_SECONDS, TAKE_SECONDS, CONNECTIONS

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.since = time.monotonic()
        self._head: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        if len(self.connections) > self.most:
            _make_room(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.since = time.monotonic()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head = _cancel(self._head)
        self._taking = _cancel(self._taking)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = _cancel(self._taking) or self.loop.call_later(self.take_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taking = _cancel(self._taking)

    @property
    def waits(self) -> bool:
        """Whether no request is being answered: at the start, between two, and while a head is coming."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        """One deadline for all of the next head, from the connection's start or the last answer on."""
        upgraded = self.transport.get_protocol() is not self
        if not self.waits or upgraded or self.transport.is_closing():
            self._head = _cancel(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """None, for the place that held it."""
    if timer:
        timer.cancel()
    return None


def _make_room(new: BoundedProtocol) -> None:
    """Close one connection that waits; the new one where all others are being answered."""
    waiting = [one for one in new.connections if isinstance(one, BoundedProtocol) and one.waits]
    held = Counter(one.client and one.client[0] for one in waiting)
    longest = max(waiting, key=lambda one: (held[one.client and one.client[0]], -one.since))
    new.connections.discard(longest)
    longest.transport.abort()


def config(
    app: ASGIApp, host: str, port: int, log_level: str = "info", body_bytes: int = 1 << 20, grace: int = 5
) -> uvicorn.Config:
    """How uvicorn serves a guarded application. No proxy's header is believed: any client could choose its address.

    `grace`: seconds for what is being answered when the server is asked to end.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level,
        http=BoundedProtocol,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws_max_size=body_bytes,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace,
    )


def run(app: ASGIApp, host: str, port: int, log_level: str = "info", body_bytes: int = 1 << 20, grace: int = 5) -> None:
    """Serve until interrupted."""
    uvicorn.Server(config(app, host, port, log_level, body_bytes, grace)).run()
