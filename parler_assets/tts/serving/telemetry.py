"""What a server did, for Prometheus: requests, queue, chunks, and how fast speech is made."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
FACTORS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Telemetry:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.requests = Counter("parler_requests", "Requests for speech", ["format", "status"], registry=own)
        self.active = Gauge("parler_requests_active", "Requests being answered", registry=own)
        self.first_byte = Histogram(
            "parler_first_byte_seconds", "Until the first sound is sent", registry=own, buckets=SECONDS
        )
        self.answer = Histogram("parler_answer_seconds", "Until all sound is sent", registry=own, buckets=SECONDS)
        self.waiting = Gauge("parler_queue_chunks", "Chunks that wait to be spoken", registry=own)
        self.chunks = Counter("parler_chunks", "Chunks by what became of them", ["outcome"], registry=own)
        self.batch = Histogram(
            "parler_batch_chunks", "Chunks spoken side by side", registry=own, buckets=(1, 2, 4, 8, 16, 32)
        )
        self.audio = Counter("parler_audio_seconds", "Speech that was made", registry=own)
        self.work = Counter("parler_generation_seconds", "Time that making it took", registry=own)
        self.factor = Histogram(
            "parler_real_time_factor", "Seconds of work for a second of speech, a batch", registry=own, buckets=FACTORS
        )

    def watch_queue(self, length: Callable[[], int]) -> None:
        self.waiting.set_function(length)

    def batch_done(self, size: int, audio: float, seconds: float) -> None:
        self.batch.observe(size)
        self.audio.inc(audio)
        self.work.inc(seconds)
        if audio > 0:
            self.factor.observe(seconds / audio)

    def page(self) -> bytes:
        return generate_latest(self.registry)
