"""An OpenAI-compatible speech server on FastAPI: /v1/audio/speech, /v1/audio/voices, /v1/models, /health.

Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from parler_assets.speech.audio import encode
from parler_assets.tts.serving.batcher import WAITING, Batcher, Busy, SpeakingError
from parler_assets.tts.serving.encoder import TYPES, Encoder
from parler_assets.tts.serving.synthesizer import PAUSE, Plan, Request, Sayer, SayError, joined, remarks_on
from parler_assets.tts.synthesis.prompts import FASTER, RATES
from parler_assets.web.guard import Guard, Policy

log = logging.getLogger(__name__)
LOOK = 0.2  # seconds between looks whether a client is still there


class Speech(BaseModel):
    """The body of /v1/audio/speech; other fields of OpenAI's are accepted and ignored.

    `speed` chooses the rate where none is given. Whole files are sent but for pcm, unless `stream` asks otherwise.
    """

    model: str = "parler"
    input: str
    voice: str
    instructions: str | None = Field(None, description="a whole description, or null to make one from style and rate")
    response_format: Literal["wav", "flac", "mp3", "pcm"] = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool | None = Field(None, description="send audio while it is made; null: pcm and sse only")
    speed: float = Field(1.0, ge=0.25, le=4.0)
    style: str | None = None
    rate: str | None = None

    def request(self, plain: str) -> Request:
        rate = self.rate or rate_of(self.speed)
        return Request(self.input, self.voice, self.style or plain, rate, self.instructions)

    @property
    def streamed(self) -> bool:
        return self.response_format == "pcm" if self.stream is None else self.stream


def rate_of(speed: float) -> str:
    """The label that is nearest to a speed, where 1 is moderate and each label a factor of 1.12."""
    step = round(math.log(speed) / math.log(FASTER))
    return RATES[max(0, min(len(RATES) - 1, 3 + step))]


def speech_app(sayer: Sayer, name: str = "parler", policy: Policy | None = None) -> FastAPI:
    """The server's application around a loaded checkpoint, behind the guard; its pages are read on loopback alone."""
    policy = policy or Policy()
    batcher = Batcher(sayer)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        yield
        batcher.close()

    app = FastAPI(title="parler_assets speech", lifespan=lifespan)
    if policy.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(policy.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["x-parler-remarks"],
        )
    app.add_middleware(Guard, policy=policy)  # the last one added stands in front
    for kind, status in ((SayError, 400), (Busy, 429), (SpeakingError, 500)):
        app.add_exception_handler(kind, _answering(status))

    @app.exception_handler(RequestValidationError)
    async def invalid(_, error: RequestValidationError) -> JSONResponse:
        return _error(400, "; ".join(map(_said_of, error.errors())))

    @app.exception_handler(HTTPException)
    async def refused(_, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.get("/health")
    async def health() -> dict:
        waiting, counts = len(batcher.waiting), dict(batcher.counts)
        return {"status": "ok", "waiting": waiting, "batches": batcher.batches[-10:], "chunks": counts}

    @app.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "parler_assets"}]}

    @app.get("/v1/audio/voices")
    async def voices() -> dict:
        return {"voices": sayer.voices, "styles": sayer.settings.styles, "rates": sayer.rates}

    @app.post("/v1/audio/speech")
    async def speech(asked: Speech, http: HttpRequest) -> Response:
        plan = sayer.plan(asked.request(sayer.plain))
        if len(plan.parts) > WAITING // 2:
            raise SayError(f"text of {len(plan.parts)} parts, at most {WAITING // 2} in one request: split it")
        kind, rate = asked.response_format, sayer.voice.rate
        if asked.stream_format == "sse" or asked.streamed:
            remarks: list[str] = []
            stream = _encoded(_streams(batcher, plan, _client(http)), kind, rate, remarks)
            if asked.stream_format == "sse":
                return StreamingResponse(_events(stream, remarks), media_type="text/event-stream")
            return StreamingResponse(stream, media_type=TYPES[kind])
        waiting = [asyncio.wrap_future(done) for done in batcher.submit(plan, client=_client(http))]
        spoken = await _all(waiting, http)
        if spoken is None:
            return Response(status_code=499)  # nobody is there to read it
        sound = joined([said.samples for said in spoken], rate)
        remarks = [r for place, said in enumerate(spoken, 1) for r in remarks_on(said, place, len(spoken))]
        _warn(remarks)
        headers = {"x-parler-remarks": "; ".join(remarks)} if remarks else {}
        data = Encoder("pcm", rate).encode(sound) if kind == "pcm" else encode(sound, rate, kind.upper())
        return Response(data, media_type=TYPES[kind], headers=headers)

    return app


async def _all(waiting: list[asyncio.Future], http: HttpRequest) -> list | None:
    """All chunks, or None when the client has left: what is not spoken yet is cancelled then."""
    together = asyncio.gather(*waiting)
    try:
        while not (await asyncio.wait([together], timeout=LOOK))[0]:
            if await http.is_disconnected():
                return None
        return list(await together)
    finally:
        together.cancel()
        for future in waiting:
            future.cancel()


Stream = tuple[asyncio.Future, asyncio.Queue]


def _client(http: HttpRequest) -> str:
    """Whose share a request takes: an address's; on loopback, where all have one, a connection's."""
    host, port = (http.client.host, http.client.port) if http.client else ("", 0)
    return f"{host}:{port}" if host in ("127.0.0.1", "::1") else host


def _streams(batcher: Batcher, plan: Plan, client: str) -> list[Stream]:
    """Each chunk's future, and the queue of its pieces that ends with None."""
    loop = asyncio.get_running_loop()
    queues: list[asyncio.Queue] = [asyncio.Queue() for _ in plan.parts]

    def hearer(pieces: asyncio.Queue) -> Callable[[np.ndarray | None], None]:
        def hear(piece: np.ndarray | None) -> None:
            with contextlib.suppress(RuntimeError):  # the server has closed
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        return hear

    hearers = [hearer(pieces) for pieces in queues]
    futures = batcher.submit(plan, hearers, client)
    for future, hear in zip(futures, hearers, strict=True):
        future.add_done_callback(partial(_ended, hear))
    return [(asyncio.wrap_future(future), pieces) for future, pieces in zip(futures, queues, strict=True)]


def _ended(hear: Callable[[np.ndarray | None], None], _: Future) -> None:
    hear(None)


async def _encoded(streams: list[Stream], kind: str, rate: int, remarks: list[str]) -> AsyncIterator[bytes]:
    """Pieces in order as they are made, with pauses between chunks; what is left is cancelled when nobody listens.

    `remarks` is added to: what is wrong with the speech is known at its end only.
    """
    encoder = Encoder(kind, rate)
    try:
        for place, (future, pieces) in enumerate(streams):
            if place:
                yield encoder.encode(np.zeros(int(PAUSE * rate), np.float32))
            heard = 0
            while (piece := await pieces.get()) is not None:
                heard += len(piece)
                yield encoder.encode(piece)
            said = await future
            remarks += remarks_on(said, place + 1, len(streams))
            if len(said.samples) > heard == 0:  # a voice that speaks whole chunks
                yield encoder.encode(said.samples)
        _warn(remarks)
        yield encoder.finish()
    finally:
        for future, _ in streams:
            future.cancel()


async def _events(sound: AsyncIterator[bytes], remarks: list[str]) -> AsyncIterator[str]:
    """Server-sent events as OpenAI's `stream_format=sse`; the last says what is wrong with the speech, if anything.

    The answer's status is sent before the first sound: a model that fails later is told in an event of type `error`.
    """
    try:
        async for data in sound:
            if data:
                delta = {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}
                yield f"data: {json.dumps(delta)}\n\n"
    except SpeakingError as error:
        yield f"data: {json.dumps({'type': 'error', 'error': _told(500, str(error))})}\n\n"
        return
    done = {"type": "speech.audio.done"} | ({"remarks": remarks} if remarks else {})
    yield f"data: {json.dumps(done)}\n\n"


def _warn(remarks: list[str]) -> None:
    if remarks:
        log.warning("%s", "; ".join(remarks))


def _answering(status: int):
    async def answer(_, error: Exception) -> JSONResponse:
        return _error(status, str(error))

    return answer


def _said_of(problem: Mapping[str, Any]) -> str:
    """One problem of a request's body in words."""
    if problem["type"] == "json_invalid":
        return f"the body is not JSON: {problem['ctx']['error']} at character {problem['loc'][-1]}"
    return f"{problem['loc'][-1]}: {problem['msg']}"


def _error(status: int, message: str) -> JSONResponse:
    """An error in OpenAI's form, which its client shows."""
    headers = {"retry-after": "2"} if status == 429 else None
    return JSONResponse({"error": _told(status, message)}, status, headers)


def _told(status: int, message: str) -> dict[str, str]:
    kind = {429: "server_busy"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"message": message, "type": kind}


def serve(sayer: Sayer, host: str = "127.0.0.1", port: int = 8000, policy: Policy | None = None) -> None:
    """Serve until interrupted; other machines can only ask when `host` is changed on purpose."""
    from parler_assets.web.server import run

    run(speech_app(sayer, policy=policy), host, port)
