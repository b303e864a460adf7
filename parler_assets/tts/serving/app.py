"""An OpenAI-compatible speech server on FastAPI: /v1/audio/speech, /v1/audio/voices, /v1/models, /health.

Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.middleware.cors import CORSMiddleware

from parler_assets.speech.audio import encode
from parler_assets.tts.serving.batcher import WAITING, Batcher
from parler_assets.tts.serving.encoder import TYPES, Encoder
from parler_assets.tts.serving.errors import answer_errors
from parler_assets.tts.serving.plan import Plan, Request, remarks_on
from parler_assets.tts.serving.streams import encoded, events, streams_of, warn
from parler_assets.tts.serving.synthesizer import Synthesizer, joined
from parler_assets.tts.serving.text import SayError
from parler_assets.tts.synthesis.rates import label_of_speed
from parler_assets.web.guard import Guard, Policy

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
        rate = self.rate or label_of_speed(self.speed)
        return Request(self.input, self.voice, self.style or plain, rate, self.instructions)

    @property
    def streamed(self) -> bool:
        return self.response_format == "pcm" if self.stream is None else self.stream


def speech_app(synthesizer: Synthesizer, name: str = "parler", policy: Policy | None = None) -> FastAPI:
    """The server's application around a loaded checkpoint, behind the guard; its pages are read on loopback alone."""
    batcher = Batcher(synthesizer)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        yield
        batcher.close()

    app = FastAPI(title="parler_assets speech", lifespan=lifespan)
    answer_errors(app)
    _stand_guard(app, policy or Policy())
    _describe_server(app, synthesizer, batcher, name)

    @app.post("/v1/audio/speech")
    async def speech(asked: Speech, http: HttpRequest) -> Response:
        plan = synthesizer.plan(asked.request(synthesizer.plain))
        if len(plan.parts) > WAITING // 2:
            raise SayError(f"text of {len(plan.parts)} parts, at most {WAITING // 2} in one request: split it")
        if asked.stream_format == "sse" or asked.streamed:
            return _streamed(asked, batcher, plan, synthesizer.voice.rate, http)
        return await _whole(asked.response_format, batcher, plan, synthesizer.voice.rate, http)

    return app


def _stand_guard(app: FastAPI, policy: Policy) -> None:
    """The guard in front of everything, and the answers that let named sites read."""
    if policy.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(policy.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["x-parler-remarks"],
        )
    app.add_middleware(Guard, policy=policy)  # the last one added stands in front


def _client(http: HttpRequest) -> str:
    """Whose share a request takes: an address's; on loopback, where all have one, a connection's."""
    host, port = (http.client.host, http.client.port) if http.client else ("", 0)
    return f"{host}:{port}" if host in ("127.0.0.1", "::1") else host


def _describe_server(app: FastAPI, synthesizer: Synthesizer, batcher: Batcher, name: str) -> None:
    """What is asked of a server before speech is: its health, models and voices."""

    @app.get("/health")
    async def health() -> dict:
        waiting, counts = len(batcher.waiting), dict(batcher.counts)
        return {"status": "ok", "waiting": waiting, "batches": batcher.batches[-10:], "chunks": counts}

    @app.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "parler_assets"}]}

    @app.get("/v1/audio/voices")
    async def voices() -> dict:
        return {"voices": synthesizer.voices, "styles": synthesizer.settings.styles, "rates": synthesizer.rates}


def _streamed(asked: Speech, batcher: Batcher, plan: Plan, rate: int, http: HttpRequest) -> StreamingResponse:
    """Audio while it is made: bare, or in events."""
    remarks: list[str] = []
    stream = encoded(streams_of(batcher, plan, _client(http)), plan, asked.response_format, rate, remarks)
    if asked.stream_format == "sse":
        return StreamingResponse(events(stream, remarks), media_type="text/event-stream")
    return StreamingResponse(stream, media_type=TYPES[asked.response_format])


async def _whole(kind: str, batcher: Batcher, plan: Plan, rate: int, http: HttpRequest) -> Response:
    """A whole file; what is wrong with the speech is said in a header."""
    spoken = await _all([asyncio.wrap_future(done) for done in batcher.submit(plan, client=_client(http))], http)
    if spoken is None:
        return Response(status_code=499)  # nobody is there to read it
    sound = joined([one.samples for one in spoken], rate)
    remarks = remarks_on(plan, spoken)
    warn(remarks)
    told = "; ".join(remarks).encode("latin-1", "replace").decode("latin-1")  # what a header can hold
    headers = {"x-parler-remarks": told} if told else {}
    data = Encoder("pcm", rate).encode(sound) if kind == "pcm" else encode(sound, rate, kind.upper())
    return Response(data, media_type=TYPES[kind], headers=headers)


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


def serve(synthesizer: Synthesizer, host: str = "127.0.0.1", port: int = 8000, policy: Policy | None = None) -> None:
    """Serve until interrupted; other machines can only ask when `host` is changed on purpose."""
    from parler_assets.web.server import run

    run(speech_app(synthesizer, policy=policy), host, port)
