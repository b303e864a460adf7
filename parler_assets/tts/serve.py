"""An OpenAI-compatible speech server on FastAPI: /v1/audio/speech, /v1/audio/voices, /v1/models, /health.

Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from parler_assets.speech.audio import encode
from parler_assets.tts.say import PAUSE, Request, Sayer, SayError

log = logging.getLogger(__name__)
WAITING = 64  # chunks; beyond, a request is refused rather than kept waiting
GATHER = 0.02  # seconds to wait for company
TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "pcm": "audio/pcm"}


class Speech(BaseModel):
    """The body of /v1/audio/speech; other fields of OpenAI's are accepted and ignored."""

    model: str = "parler"
    input: str
    voice: str
    instructions: str | None = Field(None, description="a whole description, or null to make one from style and rate")
    response_format: Literal["wav", "flac", "mp3", "pcm"] = "mp3"
    style: str = "default"
    rate: str = "moderate speed"

    def request(self) -> Request:
        return Request(self.input, self.voice, self.style, self.rate, self.instructions)


class Busy(RuntimeError):
    """Too many chunks are waiting."""


class SpeakingError(RuntimeError):
    """The model failed on a batch; the server goes on."""


@dataclass
class _Chunk:
    text: str
    description: str
    done: Future = field(default_factory=Future)


class Batcher:
    """One thread that speaks what is waiting, up to the recipe's batch size at a time."""

    def __init__(self, sayer: Sayer) -> None:
        self.sayer = sayer
        self.waiting: queue.Queue[_Chunk | None] = queue.Queue(WAITING)
        self.batches: list[int] = []  # sizes of the last batches, for /health
        self.thread = threading.Thread(target=self._work, name="speaker", daemon=True)
        self.thread.start()

    def submit(self, text: str, description: str) -> Future:
        """Raises Busy when the queue is full."""
        chunk = _Chunk(text, description)
        try:
            self.waiting.put_nowait(chunk)
        except queue.Full:
            raise Busy(f"{WAITING} chunks are waiting; try again later") from None
        return chunk.done

    def close(self) -> None:
        self.waiting.put(None)
        self.thread.join(timeout=30)

    def _gather(self) -> list[_Chunk] | None:
        first = self.waiting.get()
        batch = [first] if first else None
        while batch and len(batch) < self.sayer.settings.batch_size:
            try:
                following = self.waiting.get(timeout=GATHER)
            except queue.Empty:
                break
            if following is None:
                self.waiting.put(None)
                break
            batch.append(following)
        return batch

    def _work(self) -> None:
        while (batch := self._gather()) is not None:
            # a client that went away has cancelled its chunks: they cost nothing
            wanted = [chunk for chunk in batch if chunk.done.set_running_or_notify_cancel()]
            if wanted:
                self._speak(wanted)

    def _speak(self, wanted: list[_Chunk]) -> None:
        self.batches = [*self.batches[-99:], len(wanted)]
        settings = self.sayer.settings
        try:
            texts, descriptions = [chunk.text for chunk in wanted], [chunk.description for chunk in wanted]
            spoken = self.sayer.voice.speak(texts, descriptions, settings, settings.seed)
        except Exception:  # one failed batch must not end the server
            log.exception("a batch of %d could not be spoken", len(wanted))
            for chunk in wanted:
                chunk.done.set_exception(SpeakingError("the model failed on this text; the server's log says why"))
            return
        for chunk, said in zip(wanted, spoken, strict=True):
            chunk.done.set_result(said.samples)


def speech_app(sayer: Sayer, name: str = "parler") -> FastAPI:
    """The server's application around a loaded checkpoint."""
    batcher = Batcher(sayer)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        yield
        batcher.close()

    app = FastAPI(title="parler_assets speech", lifespan=lifespan)

    @app.exception_handler(SayError)
    async def refuse(_, error: SayError) -> JSONResponse:
        return _error(400, str(error))

    @app.exception_handler(Busy)
    async def busy(_, error: Busy) -> JSONResponse:
        return _error(429, str(error))

    @app.exception_handler(SpeakingError)
    async def failed(_, error: SpeakingError) -> JSONResponse:
        return _error(500, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_, error: RequestValidationError) -> JSONResponse:
        return _error(400, "; ".join(f"{p['loc'][-1]}: {p['msg']}" for p in error.errors()))

    @app.get("/health")
    async def health() -> dict:
        return {"status": "ok", "waiting": batcher.waiting.qsize(), "batches": batcher.batches[-10:]}

    @app.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "parler_assets"}]}

    @app.get("/v1/audio/voices")
    async def voices() -> dict:
        return {"voices": sayer.voices, "styles": sayer.settings.styles, "rates": sayer.settings.rates}

    @app.post("/v1/audio/speech")
    async def speech(asked: Speech) -> Response:
        texts, description = sayer.check(asked.request())
        if len(texts) > WAITING // 2:
            raise SayError(f"text of {len(texts)} parts, at most {WAITING // 2} in one request: split it")
        waiting = [asyncio.wrap_future(batcher.submit(text, description)) for text in texts]
        sound = _gathered(waiting, sayer.voice.rate)
        if asked.response_format == "pcm":
            return StreamingResponse(_pcm(sound), media_type=TYPES["pcm"])
        samples = np.concatenate([piece async for piece in sound])
        data = encode(samples, sayer.voice.rate, asked.response_format.upper())
        return Response(data, media_type=TYPES[asked.response_format])

    return app


async def _gathered(waiting: list[asyncio.Future], rate: int) -> AsyncIterator[np.ndarray]:
    """Chunks in order as they are ready, with pauses between; those left are cancelled when nobody listens."""
    try:
        for place, future in enumerate(waiting):
            if place:
                yield np.zeros(int(PAUSE * rate), np.float32)
            yield await future
    finally:
        for future in waiting:
            future.cancel()


async def _pcm(sound: AsyncIterator[np.ndarray]) -> AsyncIterator[bytes]:
    """16-bit little-endian samples, as OpenAI's `pcm`."""
    async for piece in sound:
        yield (np.clip(piece, -1, 1) * 32767).astype("<i2").tobytes()


def _error(status: int, message: str) -> JSONResponse:
    """An error in OpenAI's form, which its client shows."""
    kind = {400: "invalid_request_error", 429: "server_busy"}.get(status, "server_error")
    return JSONResponse({"error": {"message": message, "type": kind}}, status)


def serve(sayer: Sayer, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted; other machines can only ask when `host` is changed on purpose."""
    import uvicorn

    uvicorn.run(speech_app(sayer), host=host, port=port, log_level="info")
