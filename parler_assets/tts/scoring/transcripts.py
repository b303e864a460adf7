"""Do a corpus's clips say their transcripts? A few of them are heard, before anything is computed from them.

A table that was sorted, or lost a row, gives every clip another's text: training then learns nothing and every score
looks like a bad model's. What a clip is heard to say is compared with its own text, and with those of the rows around.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Evaluation, digest
from parler_assets.recipe.spellings import is_english
from parler_assets.speech.audio import Clip, decode
from parler_assets.storage import Part
from parler_assets.tts.scoring.asr import AsrUnavailable, GrammarAsr, dictionary
from parler_assets.tts.scoring.judges import JudgeMissing, pinned, whisper
from parler_assets.tts.scoring.words import errors_of, words_of

VERSION = "1"
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("transcript", pa.string()), ("moved", pa.int64())])
SET_RECOGNISER = ": set evaluation.recogniser to a Whisper checkpoint"
STEPS = range(-3, 4)  # a text that belongs so many rows away says that the table was moved
OTHERS = 200  # further texts of the corpus that the grammar ASR chooses among
AT_ONCE = 4  # clips heard from one shard
LONGEST = 20.0  # seconds
WRONG = 0.5  # share of its words that a clip has wrong where it does not say its text
MOST_WRONG = 0.5  # share of the clips that do not say theirs
MOST_MOVED = 0.1  # share of the clips that say the text of a row close by, and at least LEAST_MOVED of them
LEAST_MOVED = 3
LEAST_HEARD = 8
Transcribe = Callable[[Clip], str]


class NotHeard(RuntimeError):
    """The clips cannot be heard here; the message says why."""


@dataclass(frozen=True)
class Heard:
    """A clip's own text, what it is heard to say, and the row whose text that is: `moved` by so many rows, if any."""

    id: str
    text: str
    transcript: str
    moved: int | None

    @property
    def wrong(self) -> bool:
        """Whether it says something else than its text."""
        counts = errors_of(self.text, self.transcript)
        return counts["word_errors"] > WRONG * counts["words"]

    def __str__(self) -> str:
        row = f", as the row {abs(self.moved)} {'below' if self.moved > 0 else 'above'} says" if self.moved else ""
        return f"{self.id!r} is heard as {self.transcript[:80]!r}{row}, its text is {self.text[:80]!r}"


def misplaced(raw: Path, folder: Path, settings: Evaluation, clips: int, language: str, device: str) -> list[str]:
    """Problems of a corpus whose clips do not say their transcripts; none where they do, or cannot be heard.

    Args:
        raw: its raw data set.
        folder: keeps what was heard.
        clips: how many are heard.
    """
    try:
        heard = hear(raw, folder, settings, clips, language, device)
    except NotHeard:
        return []  # `unheard` says so
    wrong = [one for one in heard if one.wrong]
    moved = [one for one in wrong if one.moved]
    if len(heard) < LEAST_HEARD or not _too_many(len(wrong), len(moved), len(heard)):
        return []
    (step, times), *_ = Counter(one.moved for one in moved).most_common(1) or [(0, 0)]
    rows = f", {times} of them that of the row {step:+d}" if times >= LEAST_MOVED else ""
    return [
        f"{len(wrong)} of {len(heard)} clips do not say their text{rows}: {(moved or wrong)[0]}. Repair the table of "
        "texts; if you have listened and they are right, set transcripts_heard: 0 of this corpus"
    ]


def _too_many(wrong: int, moved: int, heard: int) -> bool:
    return wrong > MOST_WRONG * heard or moved >= max(LEAST_MOVED, MOST_MOVED * heard)


def unheard(raw: Path, settings: Evaluation, clips: int, language: str) -> list[str]:
    """Why a corpus's clips cannot be heard, so that nobody knows whether they say their transcripts."""
    try:
        if clips and storage.read_manifest(raw).rows >= LEAST_HEARD:
            _chosen(raw, clips, _knows(settings, language))
    except NotHeard as error:
        return [f"whether its clips say their texts is not known: {error}"]
    return []


def hear(raw: Path, folder: Path, settings: Evaluation, clips: int, language: str, device: str) -> list[Heard]:
    """What `clips` clips say, evenly chosen over the corpus, by the recipe's open ASR or else by the grammar ASR.

    Raises:
        NotHeard: no ASR here knows their words.
    """
    settings = pinned(settings.model_copy(update={"language": language}))
    chosen = _chosen(raw, clips, _knows(settings, language))
    made = digest(storage.read_manifest(raw).digest, clips, *settings.recognising, language, VERSION)
    transcribe = cache(lambda: _transcriber(chosen, settings, device))  # loaded by the first shard that is to be made

    def make(number: int) -> Part:
        return Part(_heard(raw, chosen, list(chosen.rows)[number], transcribe()))

    result = storage.build(folder, made, len(chosen.rows), make)
    return [Heard(**row) for row in storage.read(result.folder).to_pylist()]


@dataclass(frozen=True)
class _Chosen:
    """The texts of all rows, those that the ASR knows, and which rows are heard."""

    texts: Sequence[str]
    known: Sequence[int]
    rows: dict[int, list[int]]  # number of a shard: numbers of its rows in the corpus
    starts: Sequence[int]  # of every shard, the number of its first row

    def around(self) -> list[str]:
        """The texts that a clip may be heard to say: its own, those of the rows around it, and others."""
        close = {n + step for rows in self.rows.values() for n in rows for step in STEPS}
        others = np.linspace(0, len(self.known) - 1, OTHERS).astype(int).tolist()
        asked = close.intersection(self.known) | {self.known[place] for place in others}
        return [self.texts[number] for number in sorted(asked)]

    def moved(self, number: int, transcript: str) -> int | None:
        """By how many rows the text lies away that was heard, where no other row has that text."""
        for step in STEPS:
            at = number + step
            if step and 0 <= at < len(self.texts) and _says(transcript, self.texts[at]):
                return step if self.texts.count(self.texts[at]) == 1 else None
        return None


def _says(transcript: str, text: str) -> bool:
    counts = errors_of(text, transcript)
    return bool(counts["words"]) and counts["word_errors"] <= WRONG / 2 * counts["words"]


def _chosen(raw: Path, clips: int, knows: Callable[[str], bool]) -> _Chosen:
    """Clips from as few shards as give `AT_ONCE` of each, for a shard's audio is read whole.

    Raises:
        NotHeard: the ASR knows the words of too few texts.
    """
    rows, shards = storage.read(raw, ["text", "duration"]), storage.read_manifest(raw).shards
    texts, seconds = [text or "" for text in rows["text"].to_pylist()], rows["duration"].to_pylist()
    known = [n for n, text in enumerate(texts) if words_of(text) and knows(text)]
    if len(known) < min(LEAST_HEARD, len(texts)):
        raise NotHeard(f"its dictionary has all words of {len(known)} of {len(texts)} texts alone{SET_RECOGNISER}")
    short = [n for n in known if (seconds[n] or 0) <= LONGEST]
    starts = np.cumsum([0, *(shard.rows for shard in shards)]).tolist()
    found: dict[int, list[int]] = {}
    among = _evenly(range(len(shards)), -(-clips // AT_ONCE))
    for shard in among:
        own = [n for n in short if starts[shard] <= n < starts[shard + 1]]
        if own:
            found[shard] = _evenly(own, -(-clips // len(among)))
    return _Chosen(texts, known, found, starts)


def _evenly(numbers: Sequence[int], count: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int).tolist()
    return [numbers[place] for place in places]


def _heard(raw: Path, chosen: _Chosen, shard: int, transcribe: Transcribe) -> pa.Table:
    table = storage.read_shard(raw, storage.read_manifest(raw).shards[shard], ["id", "text", "audio"])
    made = []
    for number in chosen.rows[shard]:
        row = table.slice(number - chosen.starts[shard], 1).to_pylist()[0]
        transcript = transcribe(decode(row.pop("audio")))
        made.append(row | {"transcript": transcript, "moved": chosen.moved(number, transcript)})
    return pa.Table.from_pylist(made, schema=SCHEMA)


def _knows(settings: Evaluation, language: str) -> Callable[[str], bool]:
    """Whether the ASR can hear a text: all its words are in the dictionary, which an open ASR has not."""
    if settings.recogniser:
        return lambda text: True
    if not is_english(language):
        raise NotHeard(f"the grammar ASR knows English alone, not {language}{SET_RECOGNISER}")
    try:
        known = dictionary()
    except AsrUnavailable as error:
        raise NotHeard(str(error)) from None
    return lambda text: known.issuperset(words_of(text))


def _transcriber(chosen: _Chosen, settings: Evaluation, device: str) -> Transcribe:
    try:
        if not settings.recogniser:
            return GrammarAsr(chosen.around()).transcribe
        judge = whisper(settings, device)
    except (AsrUnavailable, JudgeMissing) as error:
        raise NotHeard(str(error)) from None
    return lambda clip: judge([clip])[0]["transcript_open"]
