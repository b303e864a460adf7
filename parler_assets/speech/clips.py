"""The first stage of a lane: a source's clips as shards, audio bytes as published, broken clips set aside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.intake.names import shown, text_problem
from parler_assets.recipe import Corpus, Shards, digest
from parler_assets.speech.audio import SHORTEST, AudioError, Clip, decode
from parler_assets.speech.sources import RawClip, Source, open_source
from parler_assets.storage import Part, SetAside, ShardError, StageResult

VERSION = "1"
STAGE = "raw_dataset"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("audio", pa.binary()),
        ("text", pa.string()),
        ("speaker", pa.string()),
        ("style", pa.string()),
        ("gender", pa.string()),
        ("duration", pa.float64()),
        ("sampling_rate", pa.int32()),
    ]
)


def build_raw_dataset(
    corpus: Corpus, folder: Path, settings: Shards, cache: Path, rebuild: bool = False
) -> StageResult:
    """Store a corpus's clips: id, audio (bytes), text, speaker, style, gender, duration (s), sampling_rate (Hz).

    Speakers are given the names of the recipe. Clips of other styles than the recipe keeps are left out. A clip that
    cannot be used (no transcript, an id seen before, no sound, under 60 ms) is set aside with its reason.

    Raises:
        SourceError: the source cannot be read at all.
    """
    return store_clips(open_source(corpus, cache), corpus, folder, settings, rebuild=rebuild)


def store_clips(
    source: Source, corpus: Corpus, folder: Path, settings: Shards, texts: bool = True, rebuild: bool = False
) -> StageResult:
    """`build_raw_dataset` for a source that is open; `texts=False` also takes clips without a transcript."""
    chosen = corpus.model_dump(mode="json", include={"speaker_names", "genders", "styles"})
    fingerprint = digest(source.fingerprint, chosen, settings.rows, texts, VERSION)
    stored = _stored_shards(folder, fingerprint)
    if stored is not None and not rebuild:
        return storage.build(folder, fingerprint, stored, _never, label=STAGE)
    ids = source.ids()
    first_seen = {name: row for row, name in reversed(list(enumerate(ids)))}

    def make(index: int) -> Part:
        start = index * settings.rows
        rows, aside = [], []
        for row, clip in enumerate(source.read(start, min(start + settings.rows, len(ids))), start):
            if corpus.styles is not None and clip.style not in corpus.styles:
                continue
            try:
                rows.append(_row(_usable(clip, row, first_seen, texts), corpus))
            except Unusable as error:
                aside.append(SetAside(shown(clip.id), STAGE, str(error)))
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    parts = -(-len(ids) // settings.rows)
    return storage.build(
        folder,
        fingerprint,
        parts,
        make,
        label=STAGE,
        facts=lambda: {COMMITS: dict(source.commits)},
        rebuild=rebuild,
    )


class Unusable(ValueError):
    """Why a clip is set aside: a short kind, a colon, the particulars."""


def _usable(clip: RawClip, row: int, first_seen: Mapping[str, int], texts: bool) -> tuple[RawClip, Clip]:
    """The clip and its sound, once nothing speaks against it."""
    if first_seen[clip.id] != row:
        raise Unusable(f"id occurs twice: rows {first_seen[clip.id]} and {row}; the first is kept")
    if clip.problem:
        raise Unusable(clip.problem)
    for what in ("id", "text", "speaker", "style", "gender"):
        if problem := text_problem(getattr(clip, what) or ""):
            raise Unusable(f"unusable {what}: it {problem}")
    if texts and not clip.text.strip():
        raise Unusable("no transcript: the text is empty")
    try:
        sound = decode(clip.audio)
    except AudioError as error:
        raise Unusable(f"audio {error}") from None
    if sound.seconds < SHORTEST:
        raise Unusable(f"too short: {sound.seconds * 1000:.0f} ms, at least {SHORTEST * 1000:.0f} ms are needed")
    if sound.silent:
        raise Unusable("silent: the samples never move")
    return clip, sound


def _row(usable: tuple[RawClip, Clip], corpus: Corpus) -> dict:
    clip, sound = usable
    speaker = corpus.speaker_names.get(clip.speaker or "", clip.speaker)
    gender = corpus.genders.get(clip.speaker or "") or corpus.genders.get(speaker or "") or clip.gender
    return {
        "id": clip.id,
        "audio": clip.audio,
        "text": clip.text,
        "speaker": speaker,
        "style": clip.style,
        "gender": gender,
        "duration": sound.seconds,
        "sampling_rate": sound.rate,
    }


def _stored_shards(folder: Path, fingerprint: str) -> int | None:
    """How many shards are already there, so that a finished corpus need not list its source again."""
    try:
        manifest = storage.read_manifest(folder)
    except ShardError:
        return None
    complete = all((folder / shard.file).is_file() for shard in manifest.shards)
    return len(manifest.shards) if manifest.fingerprint == fingerprint and complete else None


def _never(index: int) -> Part:
    raise AssertionError(f"shard {index} of a finished stage was asked for")
