"""Speech sent while it is made: pieces from the model's thread, encoded, bare or in server-sent events."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future
from functools import partial

import numpy as np

from parler_assets.tts.serving.batcher import Batcher, SpeakingError
from parler_assets.tts.serving.encoder import Encoder
from parler_assets.tts.serving.errors import error_body
from parler_assets.tts.serving.plan import Plan, remarks_on

log = logging.getLogger(__name__)
Stream = tuple[asyncio.Future, asyncio.Queue]


def streams_of(batcher: Batcher, plan: Plan, client: str = "") -> list[Stream]:
    """Each chunk's future, and the queue of its pieces that ends with None.

    Only the first part is heard piece by piece. While it plays, the others are made and checked whole, so that what
    failed in them is spoken again before anybody hears it.
    """
    loop = asyncio.get_running_loop()
    queues: list[asyncio.Queue] = [asyncio.Queue() for _ in plan.parts]

    def hearer(pieces: asyncio.Queue) -> Callable[[np.ndarray | None], None]:
        def hear(piece: np.ndarray | None) -> None:
            with contextlib.suppress(RuntimeError):  # the server has closed
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        return hear

    hearers = [hearer(pieces) for pieces in queues]
    futures = batcher.submit(plan, hearers[:1], client)
    for future, hear in zip(futures, hearers, strict=True):
        future.add_done_callback(partial(_ended, hear))
    return [(asyncio.wrap_future(future), pieces) for future, pieces in zip(futures, queues, strict=True)]


def _ended(hear: Callable[[np.ndarray | None], None], _: Future) -> None:
    hear(None)


async def encoded(
    streams: list[Stream], plan: Plan, kind: str, rate: int, remarks: list[str]
) -> AsyncGenerator[bytes, None]:
    """Pieces in order as they are made, with pauses between chunks; what is left is cancelled when nobody listens.

    `remarks` is added to: what is wrong with the speech is known at its end only.
    """
    encoder, done = Encoder(kind, rate), []
    try:
        for place, (future, pieces) in enumerate(streams):
            yield encoder.encode(_silence(plan.pauses[place], rate))
            sent = 0
            while (piece := await pieces.get()) is not None:
                sent += len(piece)
                yield encoder.encode(piece)
            spoken = await future
            done.append(spoken)
            if len(spoken.samples) > sent == 0:  # a voice that speaks whole chunks
                yield encoder.encode(spoken.samples)
        remarks += remarks_on(plan, done)
        warn(remarks)
        yield encoder.encode(_silence(plan.pauses[-1], rate)) + encoder.finish()
    finally:
        for future, _ in streams:
            future.cancel()


def _silence(seconds: float, rate: int) -> np.ndarray:
    return np.zeros(int(seconds * rate), np.float32)


async def events(sound: AsyncIterator[bytes], remarks: list[str]) -> AsyncIterator[str]:
    """Server-sent events as OpenAI's `stream_format=sse`; the last says what is wrong with the speech, if anything.

    The answer's status is sent before the first sound: a model that fails later is told in an event of type `error`.
    """
    try:
        async for data in sound:
            if data:
                delta = {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}
                yield f"data: {json.dumps(delta)}\n\n"
    except SpeakingError as error:
        yield f"data: {json.dumps({'type': 'error', 'error': error_body(500, str(error))})}\n\n"
        return
    done = {"type": "speech.audio.done"} | ({"remarks": remarks} if remarks else {})
    yield f"data: {json.dumps(done)}\n\n"


def warn(remarks: list[str]) -> None:
    if remarks:
        log.warning("%s", "; ".join(remarks))
