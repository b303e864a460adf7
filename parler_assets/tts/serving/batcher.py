"""Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.

The parts of a long text continue from its first, as `Synthesizer.speak` lets them: they wait until that one is spoken,
and share batches with each other. First parts and short texts of any requests share batches too.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parler_assets.tts.serving.plan import Part, Plan
from parler_assets.tts.serving.remarks import ended_early, is_mute, least_seconds
from parler_assets.tts.serving.synthesizer import Synthesizer
from parler_assets.tts.serving.telemetry import Telemetry

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Utterance, VoicePrompt

log = logging.getLogger(__name__)
WAITING = 512  # chunks; beyond, a request is refused rather than kept waiting
SHORT, RESERVED = 2, 16  # requests of so few chunks find so much more room
LONGEST_RETRY = 60  # seconds
GATHER = 0.02  # seconds to wait for company
Hearer = Callable[[np.ndarray], None]


class Busy(RuntimeError):
    """Too much is waiting; `retry_after` seconds from now there may be room."""

    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SpeakingError(RuntimeError):
    """The model failed on a batch; the server continues."""


@dataclass(eq=False)
class _Chunk:
    part: Part
    lead: _Chunk | None = None  # the first part of its text, that it continues from
    like: VoicePrompt | None = None  # given speech that it continues from
    on_piece: Hearer | None = None
    leads: bool = False
    client: str = ""  # whose share it takes
    done: Future = field(default_factory=Future)
    prompt: VoicePrompt | None = None  # of a lead that has been spoken, where others can continue from it
    kept: list[np.ndarray] = field(default_factory=list)  # pieces that wait until it is known that it is complete
    given: bool = False  # whether its hearer has got a piece

    @property
    def ready(self) -> bool:
        return self.lead is None or self.lead.done.done()

    @property
    def after(self) -> VoicePrompt | None:
        return self.lead.prompt if self.lead else self.like


class Batcher:
    """One thread that speaks what is waiting, up to the recipe's batch size at a time."""

    def __init__(self, synthesizer: Synthesizer, telemetry: Telemetry | None = None, most: int = WAITING) -> None:
        self.synthesizer, self.telemetry, self.most = synthesizer, telemetry or Telemetry(), most
        self._seconds = 1.0  # of work that a chunk takes, about
        self.telemetry.watch_queue(lambda: len(self.waiting))
        self.waiting: deque[_Chunk] = deque()
        self.batches: list[int] = []  # sizes of the last batches, for /health
        self.counts: Counter[str] = Counter()
        self._changed, self._closed = threading.Condition(), False
        self.thread = threading.Thread(target=self._work, name="speaker", daemon=True)
        self.thread.start()

    def submit(self, plan: Plan, hearers: Sequence[Hearer] = (), client: str = "") -> list[Future]:
        """Queue a request; a hearer gets each piece of its part as soon as it is made, in the model's thread.

        Short requests find room in a queue that long ones have filled.

        Raises:
            Busy: its parts do not all fit into the queue; then none is spoken.
        """
        chunks = [_Chunk(part, client=client, like=plan.like) for part in self.synthesizer.parts(plan)]
        for chunk, hearer in zip(chunks, hearers, strict=False):
            chunk.on_piece = hearer
        chunks[0].leads = plan.carried
        for chunk in chunks[1:] if plan.carried else ():
            chunk.lead = chunks[0]
        with self._changed:
            most = self.most + (RESERVED if len(chunks) <= SHORT else 0)
            if self.waiting and len(self.waiting) + len(chunks) > most:
                raise Busy(f"{len(self.waiting)} parts of texts are waiting; try again later", self.retry_after)
            self.waiting.extend(chunks)
            self._changed.notify()
        return [chunk.done for chunk in chunks]

    @property
    def retry_after(self) -> int:
        """Seconds until half of what waits has been spoken."""
        return max(1, min(LONGEST_RETRY, math.ceil(self._seconds * len(self.waiting) / 2)))

    @property
    def works(self) -> bool:
        return self.thread.is_alive() and not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.thread.join(timeout=30)

    def _gather(self) -> list[_Chunk]:
        """What can be spoken together: all continue from the same speech, or from none; nothing when closed."""
        size = self.synthesizer.settings.batch_size
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self._closed)
            self._changed.wait_for(lambda: len(self.waiting) >= size or self._closed, timeout=GATHER)
            # at least one is ready: what it continues from stood before it
            ready = _in_turns([chunk for chunk in self.waiting if chunk.ready])
            batch = [chunk for chunk in ready if chunk.after is ready[0].after][:size]
            for chunk in batch:
                self.waiting.remove(chunk)
        return batch

    def _work(self) -> None:
        while batch := self._gather():
            # a client that went away has cancelled its chunks: they cost nothing
            wanted = [chunk for chunk in batch if chunk.done.set_running_or_notify_cancel()]
            self._count("abandoned", len(batch) - len(wanted))
            if wanted:
                self._speak(wanted)

    def _speak(self, wanted: list[_Chunk]) -> None:
        from parler_assets.tts.synthesis.voice import BrokenCheckpoint

        self.batches = [*self.batches[-99:], len(wanted)]
        started = time.perf_counter()
        try:
            spoken = self._generate(wanted)
        except Exception as error:  # one failed batch must not end the server
            log.exception("a batch of %d could not be spoken", len(wanted))
            if len(wanted) > 1:  # one bad request fails alone; what has been heard in part cannot begin again
                for chunk in wanted:
                    if not chunk.given:
                        chunk.kept = []
                        self._speak([chunk])
                wanted = [chunk for chunk in wanted if not chunk.done.done()]
            self._count("failed", len(wanted))
            told = str(error) if isinstance(error, BrokenCheckpoint) else "the server's log says why"
            for chunk in wanted:
                chunk.done.set_exception(SpeakingError(f"the model failed on this text: {told}"))
            return
        self._note(len(wanted), sum(one.duration for one in spoken), time.perf_counter() - started)
        for chunk, one in zip(wanted, spoken, strict=True):
            self._count("spoken")
            self._count("cut", int(not one.ended))
            self._count("silent", int(is_mute(one)))
            self._count("early", int(ended_early(chunk.part.text, one, chunk.part.rate)))
            chunk.prompt = self.synthesizer.voice_prompt(chunk.part, one) if chunk.leads else None
            chunk.done.set_result(one)

    def _note(self, size: int, audio: float, seconds: float) -> None:
        self._seconds = 0.8 * self._seconds + 0.2 * seconds / size
        self.telemetry.batch_done(size, audio, seconds)

    def _count(self, outcome: str, count: int = 1) -> None:
        self.counts[outcome] += count
        self.telemetry.chunks.labels(outcome).inc(count)

    def _generate(self, wanted: list[_Chunk]) -> list[Utterance]:
        """The batch; piece by piece where somebody is waiting for the first sound and the voice can."""
        after, parts, voice = wanted[0].after, [chunk.part for chunk in wanted], self.synthesizer.voice
        if not (hasattr(voice, "stream") and any(chunk.on_piece for chunk in wanted)):
            return self.synthesizer.speak_parts(parts, after)
        texts, descriptions = [part.text for part in parts], [part.description for part in parts]
        options = {} if after is None else {"after": after}
        seeds = [part.seed for part in parts]
        stream = voice.stream(texts, descriptions, self.synthesizer.settings, seeds, **options)
        while True:
            try:
                pieces = next(stream)
            except StopIteration as ended:
                return self._mended(wanted, ended.value, after is not None)
            for chunk, piece in zip(wanted, pieces, strict=True):
                _hand_on(chunk, piece, voice.rate)

    def _mended(self, wanted: Sequence[_Chunk], spoken: list[Utterance], continued: bool) -> list[Utterance]:
        """Parts that failed spoken again, but for those whose sound was given out."""
        free = [place for place, chunk in enumerate(wanted) if not chunk.given]
        parts = [wanted[place].part for place in free]
        mended = self.synthesizer.mended(parts, [spoken[place] for place in free], continued)
        replaced = dict(zip(free, mended, strict=True))
        return [replaced.get(place, one) for place, one in enumerate(spoken)]


def _in_turns(ready: Sequence[_Chunk]) -> list[_Chunk]:
    """One chunk of each client after the other, so that a short request never waits for all of a long one."""
    turns: Counter[str] = Counter()
    placed = []
    for chunk in ready:
        placed.append((turns[chunk.client], chunk))
        turns[chunk.client] += 1
    return [chunk for _, chunk in sorted(placed, key=lambda pair: pair[0])]


def _hand_on(chunk: _Chunk, piece: np.ndarray, rate: int) -> None:
    """A piece to its hearer; of speech that continues from other speech, once it is long enough."""
    if chunk.on_piece is None or not len(piece):
        return
    chunk.kept.append(piece)
    seconds = sum(map(len, chunk.kept)) / rate
    if chunk.given or chunk.after is None or seconds >= least_seconds(chunk.part.text, chunk.part.rate):
        chunk.given = True
        for kept in chunk.kept:
            chunk.on_piece(kept)
        chunk.kept = []
