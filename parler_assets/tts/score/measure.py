"""Every sample measured: the corpus's own tags and bins, sanity, probe features, and what the recogniser heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from parler_assets.recipe import Annotation, digest
from parler_assets.speech import shards
from parler_assets.speech.audio import Clip, decode
from parler_assets.speech.shards import Part, StageResult
from parler_assets.tts.score.features import features
from parler_assets.tts.score.recogniser import Recogniser, RecogniserError, word_errors
from parler_assets.tts.score.sanity import is_silent, length_is_plausible

VERSION = "1"
ASKED = ("id", "system", "prompt", "speaker", "style", "rate", "text", "description")
MADE = ("duration", "seconds_to_generate", "stopped")


def measure_samples(
    samples: Path,
    folder: Path,
    annotation: Annotation,
    genders: Mapping[str, str],
    bin_facts: dict | None,
    sentences: Sequence[str],
    device: str = "cpu",
    rebuild: bool = False,
) -> StageResult:
    """One row a sample: what was asked, tags, bins, `silent`, `length_plausible`, `features`, `heard`, `word_errors`.

    Args:
        bin_facts: edges and labels of the corpus; None leaves bins out.
        sentences: what the grammar recogniser may hear; `facts["recogniser"]` says why when there is none.
    """
    ears = _Ears(sentences)

    def transform(table: pa.Table) -> Part:
        rows = table.to_pylist()
        clips = [decode(row["audio"]) for row in rows]
        measured = tags(clips, rows, annotation, genders, bin_facts, device)
        return Part(pa.Table.from_pylist([_row(*parts, ears) for parts in zip(rows, clips, measured, strict=True)]))

    fingerprint = digest(annotation, dict(genders), bin_facts, sorted(sentences), VERSION)
    facts = ears.facts
    return shards.map_shards(samples, folder, fingerprint, transform, label="measure", facts=facts, rebuild=rebuild)


def tags(
    clips: Sequence[Clip],
    rows: Sequence[dict],
    annotation: Annotation,
    genders: Mapping[str, str],
    bin_facts: dict | None,
    device: str = "cpu",
) -> list[dict]:
    """The corpus's tags and bins of generated or copied clips; `rate_measured` is the rate of the recipe's era."""
    from parler_assets.speech.bins import bin_table

    from parler_assets.speech.annotators import annotate

    if not clips:
        return []
    table = annotate(clips, [row["text"] for row in rows], annotation, device)
    for name in ("speaker", "style"):
        table = _with(table, name, [row[name] for row in rows])
    table = _with(table, "gender", [genders.get(row["speaker"] or "") for row in rows])
    binned = bin_table(table, bin_facts) if bin_facts else table
    return [{**row, "rate_measured": row[f"speaking_rate_{annotation.era}"]} for row in binned.to_pylist()]


def _with(table: pa.Table, name: str, values: list) -> pa.Table:
    table = table.drop_columns([name]) if name in table.column_names else table
    return table.append_column(name, pa.array(values, pa.string()))


def _row(asked: dict, clip: Clip, measured: dict, ears: _Ears) -> dict:
    kept = {key: asked[key] for key in (*ASKED, *MADE)}
    sane = {"silent": is_silent(clip), "length_plausible": length_is_plausible(clip.seconds, asked["text"])}
    heard = None if sane["silent"] and ears.recogniser else ears.hear(clip)
    heard = "" if heard is None and ears.recogniser else heard
    errors, words = word_errors(asked["text"], heard) if heard is not None else (None, None)
    probe = features(clip, {**measured, "duration": clip.seconds}).astype("float32").tolist()
    return {**measured, **kept, **sane, "heard": heard, "word_errors": errors, "words": words, "features": probe}


class _Ears:
    """The recogniser where there is one, started when first needed."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.recogniser, self.reason = None, ""
        try:
            self.recogniser = Recogniser(sentences)
        except RecogniserError as error:
            self.reason = str(error)

    def hear(self, clip: Clip) -> str | None:
        return self.recogniser.hear(clip) if self.recogniser else None

    def facts(self) -> dict:
        return {"recogniser": self.reason, "chance": self.recogniser.chance if self.recogniser else ""}
