"""An OpenAI-compatible speech server on FastAPI: /v1/audio/speech, what clients ask before it, and a page at /.

Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.middleware.cors import CORSMiddleware

from parler_assets.tts.serving.answers import Answering
from parler_assets.tts.serving.batcher import WAITING, Batcher
from parler_assets.tts.serving.errors import answer_errors
from parler_assets.tts.serving.facts import describe_server
from parler_assets.tts.serving.formats import FORMATS, content_type
from parler_assets.tts.serving.kept_voices import KeptVoices
from parler_assets.tts.serving.requests import Speech
from parler_assets.tts.serving.synthesizer import Synthesizer
from parler_assets.tts.serving.telemetry import Telemetry
from parler_assets.tts.serving.voices import Voices
from parler_assets.web.access import REQUEST_ID, KeyGate, RequestIds
from parler_assets.web.guard import Guard, Policy

BODY_BYTES = 2 << 20  # a reference recording of half a minute, in base64
GRACE = 30  # seconds for what is being answered when the server is asked to end
PUBLIC = (
    "/",
    "/page/page.js",
    "/page/page.css",
    "/health",
    "/ready",
)  # answered without a key: they say nothing of what was spoken
TOLD = ["x-parler-remarks", "x-parler-description", REQUEST_ID, "retry-after"]


@dataclass(frozen=True)
class Serving:
    """How a server answers.

    Attributes:
        name: of its one model.
        policy: what the guard in front lets in.
        key: that every request must bring; None: none.
        strict: whether unknown fields are refused, instead of named in the answer.
        requests: answered at once, at most.
        chunks: that may wait, at most.
        table: names that clients ask for, and the voice for each.
        kept: folder of kept voices.
        like: whether requests may bring a recording to continue from.
    """

    name: str = "parler"
    policy: Policy = field(default_factory=lambda: Policy(body_bytes=BODY_BYTES))
    key: str | None = None
    strict: bool = False
    requests: int = 64
    chunks: int = WAITING
    table: dict[str, str] = field(default_factory=dict)
    kept: Path | None = None
    like: bool = False


def speech_app(synthesizer: Synthesizer, serving: Serving | None = None) -> FastAPI:
    """The server's application around a loaded checkpoint, behind the guard."""
    serving, telemetry = serving or Serving(), Telemetry()
    batcher = Batcher(synthesizer, telemetry, serving.chunks)
    voices = Voices(synthesizer.voices, serving.table, KeptVoices(serving.kept, synthesizer.voice))
    answering = Answering(batcher, voices, telemetry, serving.requests, serving.strict, serving.like)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        yield
        batcher.close()

    app = FastAPI(title="parler_assets speech", lifespan=lifespan)
    answer_errors(app)
    _stand_guard(app, serving)
    describe_server(app, serving.name, batcher, voices, telemetry)

    @app.post("/v1/audio/speech", response_class=Response, responses={200: {"content": _contents()}, **_refusals()})
    async def speech(asked: Speech, http: HttpRequest) -> Response:
        return await answering.answer(asked, http)

    @app.get("/v1/audio/speech/{request_id}")
    async def spoken(request_id: str) -> dict:
        """What was wrong with the speech of a request: a streamed answer's header was sent before it was known."""
        return answering.recall(request_id)

    return app


def _contents() -> dict:
    types = [content_type(kind).partition(";")[0] for kind in FORMATS]
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in [*types, "text/event-stream"]}


def _refusals() -> dict:
    words = {400: "a bad request", 401: "no key", 413: "too long", 415: "no JSON", 429: "busy", 500: "the model failed"}
    return {status: {"description": said, "content": {"application/json": {}}} for status, said in words.items()}


def _stand_guard(app: FastAPI, serving: Serving) -> None:
    """The last one added stands in front: guard, ids, answers that let named sites read, key."""
    app.add_middleware(KeyGate, key=serving.key, public=PUBLIC)
    if serving.policy.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(serving.policy.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # clients of OpenAI's send a dozen x-stainless-... headers
            expose_headers=TOLD,
        )
    app.add_middleware(RequestIds)
    app.add_middleware(Guard, policy=serving.policy)


def serve(synthesizer: Synthesizer, host: str = "127.0.0.1", port: int = 8000, serving: Serving | None = None) -> None:
    """Serve until interrupted; other machines can only ask when `host` is changed on purpose."""
    from parler_assets.web.server import run

    run(speech_app(synthesizer, serving), host, port, body_bytes=BODY_BYTES, grace=GRACE)
