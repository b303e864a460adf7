"""Requests that arrive together are generated together: one thread owns the model and speaks a batch at a time.

The parts of a long text go on from its first, as `Sayer.speak` lets them: they wait until that one is spoken, and share
batches with each other. First parts and short texts of any requests share batches too.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parler_assets.tts.serving.synthesizer import Plan, Sayer, is_long_enough, remarks_on

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import Spoke, Utterance

log = logging.getLogger(__name__)
WAITING = 64  # chunks; beyond, a request is refused rather than kept waiting
SHORT, RESERVED = 2, 16  # requests of so few chunks find so much more room
GATHER = 0.02  # seconds to wait for company
Hearer = Callable[[np.ndarray], None]


class Busy(RuntimeError):
    """Too many chunks are waiting."""


class SpeakingError(RuntimeError):
    """The model failed on a batch; the server goes on."""


@dataclass(eq=False)
class _Chunk:
    text: str
    description: str
    seed: int
    lead: _Chunk | None = None  # the first part of its text, that it goes on from
    on_piece: Hearer | None = None
    leads: bool = False
    client: str = ""  # whose share it takes
    done: Future = field(default_factory=Future)
    spoke: Spoke | None = None  # of a lead that has been spoken, where others can go on from it
    kept: list[np.ndarray] = field(default_factory=list)  # pieces that wait until it is known that it comes out
    given: bool = False  # whether its hearer has got a piece

    @property
    def ready(self) -> bool:
        return self.lead is None or self.lead.done.done()

    @property
    def after(self) -> Spoke | None:
        return self.lead.spoke if self.lead else None


class Batcher:
    """One thread that speaks what is waiting, up to the recipe's batch size at a time."""

    def __init__(self, sayer: Sayer) -> None:
        self.sayer = sayer
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
        pairs = zip(plan.parts, self.sayer.seeds(plan), strict=True)
        chunks = [_Chunk(text, plan.description, seed, client=client) for text, seed in pairs]
        for chunk, hearer in zip(chunks, hearers, strict=False):
            chunk.on_piece = hearer
        chunks[0].leads = plan.carried
        for chunk in chunks[1:] if plan.carried else ():
            chunk.lead = chunks[0]
        with self._changed:
            most = WAITING + (RESERVED if len(chunks) <= SHORT else 0)
            if len(self.waiting) + len(chunks) > most:
                raise Busy(f"{WAITING} chunks are waiting; try again later")
            self.waiting.extend(chunks)
            self._changed.notify()
        return [chunk.done for chunk in chunks]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.thread.join(timeout=30)

    def _gather(self) -> list[_Chunk]:
        """What can be spoken together: all go on from the same speech, or from none. Nothing when closed and done."""
        size = self.sayer.settings.batch_size
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self._closed)
            self._changed.wait_for(lambda: len(self.waiting) >= size or self._closed, timeout=GATHER)
            # at least one is ready: what it goes on from stood before it
            ready = _in_turns([chunk for chunk in self.waiting if chunk.ready])
            batch = [chunk for chunk in ready if chunk.after is ready[0].after][:size]
            for chunk in batch:
                self.waiting.remove(chunk)
        return batch

    def _work(self) -> None:
        while batch := self._gather():
            # a client that went away has cancelled its chunks: they cost nothing
            wanted = [chunk for chunk in batch if chunk.done.set_running_or_notify_cancel()]
            self.counts["abandoned"] += len(batch) - len(wanted)
            if wanted:
                self._speak(wanted)

    def _speak(self, wanted: list[_Chunk]) -> None:
        from parler_assets.tts.synthesis.voice import BrokenCheckpoint

        self.batches = [*self.batches[-99:], len(wanted)]
        try:
            spoken = self._spoken(wanted)
        except Exception as error:  # one failed batch must not end the server
            log.exception("a batch of %d could not be spoken", len(wanted))
            if len(wanted) > 1:  # one bad request fails alone; what has been heard in part cannot begin again
                for chunk in wanted:
                    if not chunk.given:
                        chunk.kept = []
                        self._speak([chunk])
                wanted = [chunk for chunk in wanted if not chunk.done.done()]
            self.counts["failed"] += len(wanted)
            told = str(error) if isinstance(error, BrokenCheckpoint) else "the server's log says why"
            for chunk in wanted:
                chunk.done.set_exception(SpeakingError(f"the model failed on this text: {told}"))
            return
        for chunk, said in zip(wanted, spoken, strict=True):
            remarked = " ".join(remarks_on(said, 1, 1))
            self.counts.update(spoken=1, cut=int(not said.stopped), silent=int("silent" in remarked))
            chunk.spoke = self.sayer.spoke(chunk.text, said) if chunk.leads else None
            chunk.done.set_result(said)

    def _spoken(self, wanted: list[_Chunk]) -> list[Utterance]:
        """The batch; piece by piece where somebody is waiting for the first sound and the voice can."""
        after = wanted[0].after
        texts, descriptions = [chunk.text for chunk in wanted], [chunk.description for chunk in wanted]
        asked, voice = (texts, descriptions, [chunk.seed for chunk in wanted]), self.sayer.voice
        if not (hasattr(voice, "stream") and any(chunk.on_piece for chunk in wanted)):
            return self.sayer.parts(*asked, after)
        options = {} if after is None else {"after": after}
        stream = voice.stream(texts, descriptions, self.sayer.settings, asked[2], **options)
        while True:
            try:
                pieces = next(stream)
            except StopIteration as ended:
                return ended.value if after is None else self._mended(wanted, ended.value, asked)
            for chunk, piece in zip(wanted, pieces, strict=True):
                _hand_on(chunk, piece, voice.rate)

    def _mended(
        self, wanted: Sequence[_Chunk], said: list[Utterance], asked: tuple[list, list, list]
    ) -> list[Utterance]:
        """Parts that did not come out spoken again by themselves, but for those whose sound was given out."""
        free = [place for place, chunk in enumerate(wanted) if not chunk.given]
        texts, descriptions, seeds = ([given[place] for place in free] for given in asked)
        mended = self.sayer.mended([said[place] for place in free], texts, descriptions, seeds)
        replaced = dict(zip(free, mended, strict=True))
        return [replaced.get(place, one) for place, one in enumerate(said)]


def _in_turns(ready: Sequence[_Chunk]) -> list[_Chunk]:
    """One chunk of each client after the other, so that a short request never waits for all of a long one."""
    turns: Counter[str] = Counter()
    placed = []
    for chunk in ready:
        placed.append((turns[chunk.client], chunk))
        turns[chunk.client] += 1
    return [chunk for _, chunk in sorted(placed, key=lambda pair: pair[0])]


def _hand_on(chunk: _Chunk, piece: np.ndarray, rate: int) -> None:
    """A piece to its hearer; of speech that goes on from other speech, once so much is there that it comes out."""
    if chunk.on_piece is None or not len(piece):
        return
    chunk.kept.append(piece)
    seconds = sum(map(len, chunk.kept)) / rate
    if chunk.given or chunk.after is None or is_long_enough(chunk.text, seconds):
        chunk.given = True
        for kept in chunk.kept:
            chunk.on_piece(kept)
        chunk.kept = []
