"""Every clip measured: speaking rate, pitch and its range, SNR, C50, speech duration, and speech quality if asked for.

Audio is decoded once and resampled once to the 16 kHz that all annotators take. Numbers are given in both of
DataSpeech's definitions: era a (until May 2024: over the whole clip) and era b (since: over its speech). A value that
cannot be measured is null, and `note` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from parler_assets import storage
from parler_assets.hub import weights
from parler_assets.hub.revisions import COMMITS
from parler_assets.recipe import Annotation, digest
from parler_assets.recipe.spellings import is_english
from parler_assets.speech.annotation import classical, espeak, rate, workers
from parler_assets.speech.annotation.measurements import Quality, Room
from parler_assets.speech.annotation.praat import Pitch, Praat
from parler_assets.speech.audio import SHORTEST, AudioError, Clip, decode
from parler_assets.speech.devices import give_back
from parler_assets.speech.pieces import in_pieces
from parler_assets.storage import Executor, Part, SetAside, StageResult

VERSION = "2"
ROW_BYTES = 300  # of a row of this stage, packed
STAGE = "continuous_tags"
RATE = 16000
# What no tag depends on: how clips are batched changes no number beyond rounding, both eras are measured, and of
# weights it is their content that counts.
IRRELEVANT = {"batch_seconds", "era", "pitch_revision", "room_revision"}
KEPT = ("id", "text", "speaker", "style", "gender", "accent", "age", "duration")
MEASURED = pa.schema(
    [
        ("phonemes", pa.string()),
        ("speech_duration", pa.float64()),
        ("speaking_rate_a", pa.float64()),
        ("speaking_rate_b", pa.float64()),
        ("utterance_pitch_mean", pa.float32()),
        ("utterance_pitch_std", pa.float32()),
        ("snr_a", pa.float64()),
        ("snr_b", pa.float64()),
        ("c50_a", pa.float64()),
        ("c50_b", pa.float64()),
        ("stoi", pa.float64()),
        ("si_sdr", pa.float64()),
        ("pesq", pa.float64()),
        ("note", pa.string()),
    ]
)


@contextmanager
def loaded_until_here() -> Iterator[None]:
    """Annotators that `annotate` loads are kept for its next call; the end of a stage lets them go, however it ends."""
    try:
        yield
    finally:
        _annotators.cache_clear()
        _pitch.cache_clear()
        give_back()


@loaded_until_here()
def tag_corpus(
    raw: Path,
    folder: Path,
    settings: Annotation,
    device: str = "cpu",
    rebuild: bool = False,
    executor: Executor | None = None,
) -> StageResult:
    """Measure every clip of a raw data set: its columns but audio, then those of `MEASURED`."""
    settings = weights.pinned(settings)

    def transform(tables: Iterator[pa.Table]) -> Part:
        return in_pieces(tables, tagged, STAGE)

    def tagged(table: pa.Table) -> Part:
        clips, aside = _decoded(table)
        kept = table.filter(pa.array([clip is not None for clip in clips], pa.bool_()))
        sounds = [clip for clip in clips if clip is not None]
        measured = annotate(sounds, kept["text"].to_pylist(), settings, device)
        columns = {name: kept[name] for name in KEPT} | {name: measured[name] for name in MEASURED.names}
        return Part(pa.table(columns), aside)

    files = weights.digests(settings, tagged=folder)
    if not is_english(settings.language):
        espeak.check_language(settings.language)
    fingerprint = digest(settings.model_dump(mode="json", exclude=IRRELEVANT), files, VERSION)
    return storage.map_groups(
        raw,
        folder,
        fingerprint,
        transform,
        columns=[*KEPT, "audio"],
        facts=lambda: {"weights": files, COMMITS: weights.commits(settings)},
        rebuild=rebuild,
        executor=executor,
        room=lambda: ROW_BYTES * storage.read_manifest(raw).rows,
    )


def annotate(
    clips: Sequence[Clip], texts: Sequence[str], settings: Annotation, device: str = "cpu", *, room: bool = True
) -> pa.Table:
    """The measurements of clips and their transcripts, one row a clip, with the columns of `MEASURED`.

    Args:
        room: False measures pitch and the rate of era a alone, as they are measured beside the others, whose columns
            are null; their annotators are not loaded.

    Raises:
        AnnotatorError: an annotator's package or weights are missing.
    """
    files = weights.digests(settings)
    tools = _annotators(settings, device, tuple(files.items()), room)

    def measured(part: slice) -> list[dict]:
        return _rows(clips[part], texts[part], settings, tools)

    by_threads = files and device == "cpu"
    rows = workers.spread(measured, workers.units(clips)) if by_threads else measured(slice(None))
    return pa.Table.from_pylist(rows, schema=MEASURED)


def _rows(clips: Sequence[Clip], texts: Sequence[str], settings: Annotation, tools: Annotators) -> list[dict]:
    sounds = [clip.at(RATE) for clip in clips]
    unusable = [_why_unusable(clip) for clip in sounds]
    usable = [clip for clip, why in zip(sounds, unusable, strict=True) if why is None]
    filtered = usable
    if tools.by_sinc:
        filtered = [_by_sinc(clip) for clip, why in zip(clips, unusable, strict=True) if why is None]
    found = iter(zip(tools.pitch(usable), tools.room(filtered), tools.quality(filtered), strict=True))
    nothing = (Pitch(None, None), Room(), Quality())
    return [
        _row(text, clip.seconds, settings, why, *(next(found) if why is None else nothing))
        for clip, text, why in zip(clips, texts, unusable, strict=True)
    ]


@dataclass(frozen=True)
class Annotators:
    """The annotators that the settings choose; each takes clips at 16 kHz and gives one result a clip.

    Those of room and quality are fed through `_by_sinc` where `by_sinc` says so.
    """

    pitch: Callable[[Sequence[Clip]], list[Pitch]]
    room: Callable[[Sequence[Clip]], list[Room]]
    quality: Callable[[Sequence[Clip]], list[Quality]]
    by_sinc: bool


@lru_cache(maxsize=4)
def _annotators(settings: Annotation, device: str, files: tuple[tuple[str, str], ...], room: bool) -> Annotators:
    pitch = _pitch(settings, device, files)
    if not room:
        return Annotators(pitch, lambda clips: [Room() for _ in clips], lambda clips: [Quality() for _ in clips], False)
    by_sinc = settings.room != "classical" or settings.quality != "none"
    return Annotators(pitch, _room(settings, device), _quality(settings, device), by_sinc)


@lru_cache(maxsize=2)
def _pitch(
    settings: Annotation, device: str, files: tuple[tuple[str, str], ...]
) -> Callable[[Sequence[Clip]], list[Pitch]]:
    """The same one for whatever is measured beside it; `files` are the weights it was loaded from."""
    if settings.pitch == "praat":
        return Praat()
    from parler_assets.speech.annotation.penn import Penn

    chosen = {"viterbi": settings.pitch == "penn_viterbi", "fast": settings.pitch == "penn_fast"}
    return Penn(device, settings, **chosen)


def _room(settings: Annotation, device: str) -> Callable[[Sequence[Clip]], list[Room]]:
    if settings.room == "classical":
        return lambda clips: [classical.room(clip.samples) for clip in clips]
    from parler_assets.speech.annotation.brouhaha import Brouhaha

    return Brouhaha(device, settings, fast=settings.room == "brouhaha_fast")


def _quality(settings: Annotation, device: str) -> Callable[[Sequence[Clip]], list[Quality]]:
    if settings.quality == "none":
        return lambda clips: [Quality() for _ in clips]
    from parler_assets.speech.annotation.squim import Squim

    return Squim(device, settings.batch_seconds)


def _decoded(table: pa.Table) -> tuple[list[Clip | None], list[SetAside]]:
    clips: list[Clip | None] = []
    aside = []
    for name, data in zip(table["id"].to_pylist(), table["audio"], strict=True):
        try:
            clips.append(decode(data.as_py()))
        except AudioError as error:
            clips.append(None)
            aside.append(SetAside(name, STAGE, f"audio {error}"))
    return clips, aside


def _why_unusable(clip: Clip) -> str | None:
    if clip.seconds < SHORTEST:
        return f"too short to measure: {clip.seconds * 1000:.0f} ms"
    return "silent: nothing to measure" if clip.silent else None


def _by_sinc(clip: Clip) -> Clip:
    """At 16 kHz by the filter that Brouhaha and SQUIM were fed through."""
    from parler_assets.speech.annotation import sinc

    return Clip(sinc.resample(clip.samples, clip.rate, RATE), RATE)


def _row(
    text: str, seconds: float, settings: Annotation, why: str | None, pitch: Pitch, room: Room, quality: Quality
) -> dict:
    """One clip's columns. A text without a word that the lexicon knows has no speaking rate."""
    english = is_english(settings.language)
    spoken = rate.phonemes(text, settings.phonemes) if english else espeak.phonemes(text, settings.language)
    audible = why is None and any(character.isalpha() for character in spoken)
    words = "English word" if english else f"word of {settings.language}"
    unsaid = None if why or audible else f"speaking rate: no {words} in the transcript"
    within = room.speech_duration
    return {
        "phonemes": spoken,
        "speech_duration": within,
        "speaking_rate_a": rate.speaking_rate(spoken, seconds) if audible else None,
        "speaking_rate_b": rate.speaking_rate(spoken, within) if audible and within is not None else None,
        "utterance_pitch_mean": pitch.mean,
        "utterance_pitch_std": pitch.std,
        "snr_a": room.snr_a,
        "snr_b": room.snr_b,
        "c50_a": room.c50_a,
        "c50_b": room.c50_b,
        "stoi": quality.stoi,
        "si_sdr": quality.si_sdr,
        "pesq": quality.pesq,
        "note": "; ".join(filter(None, (why, unsaid, pitch.reason, room.reason, quality.reason))) or None,
    }
