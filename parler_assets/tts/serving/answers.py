"""Answers to requests for speech: whole files, or sound while it is made, with what is wrong in a header."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator

from fastapi import HTTPException
from fastapi import Request as HttpRequest
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from parler_assets.tts.serving.batcher import Batcher, Busy, SpeakingError
from parler_assets.tts.serving.encoder import encode_whole
from parler_assets.tts.serving.formats import content_type
from parler_assets.tts.serving.kept_voices import KeptVoice, from_recording
from parler_assets.tts.serving.plan import Plan, joined, remarks_on
from parler_assets.tts.serving.requests import Speech
from parler_assets.tts.serving.streams import encoded, events, streams_of
from parler_assets.tts.serving.synthesizer import LONGEST_REFERENCE
from parler_assets.tts.serving.telemetry import Telemetry
from parler_assets.tts.serving.text import SayError
from parler_assets.tts.serving.voices import Voices

log = logging.getLogger(__name__)
LOOK = 0.2  # seconds between looks whether a client is still there
REMEMBERED = 1000  # requests whose remarks can be asked for
MOST_OF_A_HEADER = 4000  # characters
LEFT = 499  # the status of an answer that nobody is there to read


class Answering:
    """Answers one request after the other, as many at once as `most`."""

    def __init__(
        self, batcher: Batcher, voices: Voices, telemetry: Telemetry, most: int, strict: bool, like: bool
    ) -> None:
        self.batcher, self.voices, self.telemetry = batcher, voices, telemetry
        self.synthesizer = batcher.synthesizer
        self.most, self.strict, self.like = most, strict, like
        self.active = 0
        self._records: OrderedDict[str, dict] = OrderedDict()

    async def answer(self, asked: Speech, http: HttpRequest) -> Response:
        """The speech, or what raises as the errors of `errors.py`."""
        if self.active >= self.most:
            self.telemetry.requests.labels(asked.response_format or "mp3", "429").inc()
            raise Busy(f"{self.active} requests are being answered; try again later", self.batcher.retry_after)
        one = _One(self, asked, http)
        try:
            return await one.respond()
        except BaseException as error:
            one.end(_status_of(error))
            raise

    def recall(self, request_id: str) -> dict:
        """The record of a request that was answered lately."""
        if request_id not in self._records:
            raise HTTPException(404, "no request of this id was answered lately")
        return self._records[request_id]

    def remember(self, request_id: str, record: dict) -> None:
        self._records[request_id] = record
        while len(self._records) > REMEMBERED:
            self._records.popitem(last=False)


def _status_of(error: BaseException) -> int:
    kinds = ((SayError, 400), (Busy, 429), (SpeakingError, 500), (asyncio.CancelledError, LEFT))
    return next((status for kind, status in kinds if isinstance(error, kind)), 500)


class _One:
    """One request, from its arrival to its end, counted once however it ends."""

    def __init__(self, answering: Answering, asked: Speech, http: HttpRequest) -> None:
        self.all, self.asked, self.http = answering, asked, http
        self.id = http.state.request_id
        self.started, self.ended = time.perf_counter(), False
        self.remarks: list[str] = []
        answering.active += 1
        answering.telemetry.active.inc()

    def end(self, status: int) -> None:
        if self.ended:
            return
        self.ended = True
        self.all.active -= 1
        self.all.telemetry.active.dec()
        self.all.telemetry.requests.labels(self.asked.response_format or "mp3", str(status)).inc()
        self.all.telemetry.answer.observe(seconds := time.perf_counter() - self.started)
        self.all.remember(
            self.id, {"id": self.id, "status": status, "seconds": round(seconds, 3), "remarks": self.remarks}
        )
        if self.remarks:
            log.warning("request %s: %s", self.id, "; ".join(self.remarks))

    async def respond(self) -> Response:
        kind = self.asked.kind
        self._mind_unknown_fields()
        # a text of 20,000 characters takes a while to read, in which others are answered
        plan = await run_in_threadpool(self._plan)
        if self.asked.streamed:
            return await self._stream(kind, plan)
        return await self._whole(kind, plan)

    def _mind_unknown_fields(self) -> None:
        ignored = ", ".join(name[:40] for name in self.asked.ignored[:10])
        if ignored and self.all.strict:
            raise SayError(f"unknown fields: {ignored}: leave them out, or start the server without --strict")
        if ignored:
            self.remarks.append(f"fields that are not known here: {ignored}")

    def _plan(self) -> Plan:
        synthesizer = self.all.synthesizer
        found = self.all.voices.find(self.asked.voice)
        if found.remark:
            self.remarks.append(found.remark)
        styles = synthesizer.settings.styles
        request = self.asked.request(found, self._reference(), styles, synthesizer.plain)
        return synthesizer.plan(request, self.asked.streamed)

    def _reference(self) -> KeptVoice | None:
        like, synthesizer = self.asked.like, self.all.synthesizer
        if like is None:
            return None
        if not self.all.like:
            raise SayError("this server continues from no recordings: start it with --allow-like, or use a kept voice")
        most = LONGEST_REFERENCE * synthesizer.settings.max_seconds
        return from_recording(like.data, like.text, synthesizer.voice, most)

    async def _whole(self, kind: str, plan: Plan) -> Response:
        """A whole file; what is wrong with the speech is said in a header."""
        waiting = [asyncio.wrap_future(done) for done in self.all.batcher.submit(plan, client=_client(self.http))]
        spoken = await _unless_left(asyncio.gather(*waiting), self.http, waiting)
        if spoken is None:
            self.end(LEFT)
            return Response(status_code=LEFT)
        rate = self.all.synthesizer.voice.rate
        self.remarks += remarks_on(plan, spoken)
        sound = joined([one.samples for one in spoken], rate, plan.pauses)
        data = await run_in_threadpool(encode_whole, kind, sound, rate)
        self.end(200)
        return Response(data, media_type=content_type(kind), headers=self._headers(plan))

    async def _stream(self, kind: str, plan: Plan) -> Response:
        """Sound while it is made, bare or in events. Its first bytes are waited for: what fails before is an error."""
        headers = self._headers(plan, plan.remarks)
        streams = streams_of(self.all.batcher, plan, _client(self.http))
        sound = encoded(streams, plan, kind, self.all.synthesizer.voice.rate, self.remarks)
        if self.asked.stream_format == "sse":
            return StreamingResponse(
                events(self._counted(sound), self.remarks), media_type="text/event-stream", headers=headers
            )
        first = await _unless_left(asyncio.ensure_future(_first(sound)), self.http)
        if first is None:
            await sound.aclose()
            self.end(LEFT)
            return Response(status_code=LEFT)
        return StreamingResponse(self._counted(sound, first), media_type=content_type(kind), headers=headers)

    async def _counted(self, sound: AsyncIterator[bytes], first: bytes = b"") -> AsyncIterator[bytes]:
        """The sound; what becomes of the answer is counted, also when its client leaves in the middle."""
        status, begun = LEFT, False
        try:
            if first:
                self.all.telemetry.first_byte.observe(time.perf_counter() - self.started)
                begun = True
                yield first
            async for data in sound:
                if data and not begun:
                    self.all.telemetry.first_byte.observe(time.perf_counter() - self.started)
                    begun = True
                yield data
            status = 200
        except SpeakingError:
            status = 500
            raise
        finally:
            await sound.aclose()  # type: ignore[attr-defined]
            self.end(status)

    def _headers(self, plan: Plan, more: tuple[str, ...] = ()) -> dict[str, str]:
        told = {"x-parler-description": plan.description}
        if remarks := [*self.remarks, *more]:
            told["x-parler-remarks"] = "; ".join(remarks)
        return {name: _sayable(value) for name, value in told.items()}


def _sayable(value: str) -> str:
    """What a header can hold."""
    printable = "".join(character if character.isprintable() else " " for character in value[:MOST_OF_A_HEADER])
    return printable.encode("latin-1", "replace").decode("latin-1").strip()


async def _first(sound: AsyncIterator[bytes]) -> bytes:
    """The first bytes that are not empty; empty bytes of a stream that has none."""
    async for data in sound:
        if data:
            return data
    return b""


async def _unless_left(work: asyncio.Future, http: HttpRequest, parts: list[asyncio.Future] | None = None):
    """What `work` gives, or None when the client has left: what is not spoken yet is cancelled then."""
    try:
        while not (await asyncio.wait([work], timeout=LOOK))[0]:
            if await http.is_disconnected():
                return None
        return await work
    finally:
        for future in (work, *(parts or ())):
            future.cancel()


def _client(http: HttpRequest) -> str:
    """Whose share a request takes: an address's; on loopback, where all have one, a connection's."""
    host, port = (http.client.host, http.client.port) if http.client else ("", 0)
    return f"{host}:{port}" if host in ("127.0.0.1", "::1") else host
