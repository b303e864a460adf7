"""The first stage of a lane: a source's clips as shards, audio bytes as published, broken clips set aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pyarrow as pa

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.intake.names import shown, text_problem
from parler_assets.recipe import Corpus, Shards, digest
from parler_assets.recipe.spellings import accent_of, age_of, gender_of, style_of
from parler_assets.speech.audio import SHORTEST, AudioError, Clip, decode, stated_seconds
from parler_assets.speech.sources import RawClip, Source, open_source
from parler_assets.speech.text import spoken_form
from parler_assets.storage import Part, SetAside, ShardError, StageResult, Streamed

VERSION = "4"
STAGE = "raw_dataset"
GROUP = 64 << 20
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("audio", pa.binary()),
        ("text", pa.string()),
        ("written", pa.string()),
        ("speaker", pa.string()),
        ("style", pa.string()),
        ("gender", pa.string()),
        ("accent", pa.string()),
        ("age", pa.string()),
        ("duration", pa.float64()),
        ("sampling_rate", pa.int32()),
    ]
)


def build_raw_dataset(
    corpus: Corpus,
    folder: Path,
    settings: Shards,
    cache: Path,
    rebuild: bool = False,
    longest: float | None = None,
) -> StageResult:
    """Store a corpus's clips: id, audio (bytes), text, speaker, style, gender, accent, age, duration (s),
    sampling_rate (Hz).

    `text` is what is said, with numbers, dates and signs in words (`speech.text`), `written` what the source has.
    Speakers are given the names of the recipe, styles and genders one spelling; a clip without a style has the style
    `default`, one without a speaker or a gender has none. Clips of other styles than the recipe keeps are left out. A
    clip that cannot be used (no transcript, an id seen before, no sound, under 60 ms) is set aside with its reason.

    Args:
        longest: seconds; what no training takes is set aside here, before it is measured and coded at great cost.

    Raises:
        SourceError: the source cannot be read at all.
    """
    return store_clips(open_source(corpus, cache), corpus, folder, settings, rebuild=rebuild, longest=longest)


def store_clips(
    source: Source,
    corpus: Corpus,
    folder: Path,
    settings: Shards,
    texts: bool = True,
    rebuild: bool = False,
    longest: float | None = None,
) -> StageResult:
    """`build_raw_dataset` for a source that is open; `texts=False` also takes clips without a transcript."""
    fingerprint = digest(source.fingerprint, corpus.of_rows, settings.rows, texts, longest, VERSION)

    @cache
    def first_rows() -> tuple[int, dict[str, int]]:
        """How many rows the source has, and the first row of every id. A finished corpus is not listed again."""
        ids = source.ids()
        return len(ids), {name: row for row, name in reversed(list(enumerate(ids)))}

    def make(index: int) -> Part:
        start, (count, first_seen) = index * settings.rows, first_rows()
        aside: list[SetAside] = []

        def rows() -> Iterator[dict]:
            for row, clip in enumerate(source.read(start, min(start + settings.rows, count)), start):
                if corpus.styles is not None and style_of(clip.style) not in corpus.styles:
                    continue
                try:
                    yield _row(*_usable(clip, row, first_seen, texts, longest), _said(clip.text, corpus), corpus)
                except Unusable as error:
                    aside.append(SetAside(shown(clip.id), STAGE, str(error)))

        return Part(Streamed(SCHEMA, _tables(rows())), aside)

    stored = None if rebuild else _stored_shards(folder, fingerprint)
    return storage.build(
        folder,
        fingerprint,
        -(-first_rows()[0] // settings.rows) if stored is None else stored,
        make,
        facts=lambda: {COMMITS: dict(source.commits)},
        rebuild=rebuild,
        room=lambda: getattr(source, "size", 0),  # what a source tells only where it is known beforehand
    )


def _tables(rows: Iterable[dict]) -> Iterator[pa.Table]:
    """Rows as tables of `GROUP` bytes of audio or one longer clip, at least one: no more is in memory at once."""
    held: list[dict] = []
    size = 0
    for row in rows:
        if held and size + len(row["audio"]) > GROUP:
            yield pa.Table.from_pylist(held, schema=SCHEMA)
            held, size = [], 0
        held.append(row)
        size += len(row["audio"])
    yield pa.Table.from_pylist(held, schema=SCHEMA)


class Unusable(ValueError):
    """Why a clip is set aside: a short kind, a colon, the particulars."""


def _usable(
    clip: RawClip, row: int, first_seen: Mapping[str, int], texts: bool, longest: float | None
) -> tuple[RawClip, Clip]:
    """The clip and its sound, once nothing speaks against it."""
    if first_seen[clip.id] != row:
        raise Unusable(f"id occurs twice: rows {first_seen[clip.id]} and {row}; the first is kept")
    if clip.problem:
        raise Unusable(clip.problem)
    for what in ("id", "text", "speaker", "style", "gender", "accent", "age"):
        if problem := text_problem(getattr(clip, what) or ""):
            raise Unusable(f"unusable {what}: it {problem}")
    if texts and not clip.text.strip():
        raise Unusable("no transcript: the text is empty")
    try:
        if longest is not None and (stated := stated_seconds(clip.audio)) and stated > longest:
            raise Unusable(_too_long(stated, longest))
        sound = decode(clip.audio)
    except AudioError as error:
        raise Unusable(f"audio {error}") from None
    if sound.seconds < SHORTEST:
        raise Unusable(f"too short: {sound.seconds * 1000:.0f} ms, at least {SHORTEST * 1000:.0f} ms are needed")
    if longest is not None and sound.seconds > longest:
        raise Unusable(_too_long(sound.seconds, longest))
    if sound.silent:
        raise Unusable("silent: the samples never move")
    return clip, sound


def _too_long(seconds: float, longest: float) -> str:
    return f"too long: {seconds:,.0f} s, at most {longest:g} s are trained on: cut it into clips of 2 to 15 s"


def _said(text: str, corpus: Corpus) -> str:
    if not corpus.spoken_form:
        return text
    said = spoken_form(text, corpus.language)
    if text.strip() and not any(map(str.isalnum, said)):
        raise Unusable("no transcript: nothing of the text is said, it has neither letter nor digit")
    return said


def _row(clip: RawClip, sound: Clip, said: str, corpus: Corpus) -> dict:
    speaker = corpus.speaker_names.get(clip.speaker or "", clip.speaker)
    gender = corpus.genders.get(clip.speaker or "") or corpus.genders.get(speaker or "") or gender_of(clip.gender)
    return {
        "id": clip.id,
        "audio": clip.audio,
        "text": said,
        "written": clip.text,
        "speaker": speaker,
        "style": style_of(clip.style),
        "gender": gender,
        "accent": accent_of(clip.accent),
        "age": age_of(clip.age),
        "duration": sound.seconds,
        "sampling_rate": sound.rate,
    }


def _stored_shards(folder: Path, fingerprint: str) -> int | None:
    """How many shards a finished corpus has; one that is lost or damaged is made again from its source."""
    try:
        manifest = storage.read_manifest(folder)
    except ShardError:
        return None
    return len(manifest.shards) if manifest.fingerprint == fingerprint else None
