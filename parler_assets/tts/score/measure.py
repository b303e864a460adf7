"""Every sample measured: the corpus's own tags and bins, sanity, probe features, and what the recogniser heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets.recipe import Annotation, digest
from parler_assets.speech import shards
from parler_assets.speech.audio import Clip, decode
from parler_assets.speech.shards import Part, StageResult
from parler_assets.tts.score.drift import drift_parts
from parler_assets.tts.score.features import features
from parler_assets.tts.score.recogniser import COUNTS, Ears, errors_of
from parler_assets.tts.score.sanity import is_silent, length_is_plausible

VERSION = "3"
ASKED = ("id", "system", "prompt", "speaker", "style", "rate", "kind", "attribute", "label", "text", "description")
MADE = ("seed", "duration", "seconds_to_generate", "stopped")
NUMBERS = {  # what a label is made from: our name to the tag's, which some tags have for each era
    "rate": "speaking_rate_{era}",
    "noise": "snr_{era}",
    "reverberation": "c50_{era}",
    "speech_monotony": "utterance_pitch_std",
    "pitch": "utterance_pitch_mean",
}


def measure_samples(
    samples: Path,
    folder: Path,
    annotation: Annotation,
    genders: Mapping[str, str],
    bin_facts: dict | None,
    sentences: Sequence[str],
    device: str = "cpu",
    rebuild: bool = False,
    most: int | None = None,
) -> StageResult:
    """One row a sample: what was asked, tags, bins, `silent`, `length_plausible`, `features`, what was `heard`.

    Args:
        bin_facts: edges and labels of the corpus; None leaves bins out.
        most: grid samples and clips of each system that are heard, evenly chosen, the same prompts of base and
            fine-tuned; None hears all. All else is measured on every sample.
        sentences: what the grammar recogniser may hear; `facts["recogniser"]` says why when there is none.
    """
    from parler_assets.speech.annotators import weights

    ears, deaf = Ears(sentences), _unheard(samples, most)

    def transform(table: pa.Table) -> Part:
        rows = table.to_pylist()
        clips = [decode(row["audio"]) for row in rows]
        measured = tags(clips, rows, annotation, genders, bin_facts, device)
        wanted = [row["id"] not in deaf for row in rows]
        made = [_row(*parts, ears) for parts in zip(rows, clips, measured, wanted, strict=True)]
        for row, parted in zip(made, drift_parts(rows, clips, annotation, device), strict=True):
            row.update(parted)
        return Part(pa.Table.from_pylist(made))

    # How the recogniser's thresholds are set is part of the code's version.
    fingerprint = digest(
        annotation, weights.digests(annotation), dict(genders), bin_facts, sorted(sentences), most, VERSION
    )
    facts = ears.facts
    return shards.map_shards(samples, folder, fingerprint, transform, label="measure", facts=facts, rebuild=rebuild)


def tags(
    clips: Sequence[Clip],
    rows: Sequence[dict],
    annotation: Annotation,
    genders: Mapping[str, str],
    bin_facts: dict | None,
    device: str = "cpu",
    room: bool = True,
) -> list[dict]:
    """The corpus's tags and bins of generated or copied clips; `rate_measured` is the rate of the recipe's era.

    `room` false leaves out what `annotate` then does: all that the probes do not read.
    """
    from parler_assets.speech.annotators import annotate
    from parler_assets.speech.bins import bin_table

    if not clips:
        return []
    table = annotate(clips, [row["text"] for row in rows], annotation, device, room=room)
    for name in ("speaker", "style"):
        table = _with(table, name, [row[name] for row in rows])
    table = _with(table, "gender", [genders.get(row["speaker"] or "") for row in rows])
    binned = bin_table(table, bin_facts) if bin_facts else table
    columns = {f"{name}_measured": column.format(era=annotation.era) for name, column in NUMBERS.items()}
    return [{**row, **{name: row.get(column) for name, column in columns.items()}} for row in binned.to_pylist()]


def _with(table: pa.Table, name: str, values: list) -> pa.Table:
    table = table.drop_columns([name]) if name in table.column_names else table
    return table.append_column(name, pa.array(values, pa.string()))


def _unheard(samples: Path, most: int | None) -> set[str]:
    """Ids of the grid samples and clips that the recogniser is spared: all but `most` of each system."""
    rows = [] if most is None else shards.read(samples, ["id", "system", "kind"]).to_pylist()
    usual = [row for row in rows if row["kind"] in ("grid", "clip")]
    return {row["id"] for row in usual} - set(evenly(usual, most or 0))


def evenly(rows: Sequence[Mapping], count: int) -> list[str]:
    """Ids of `count` rows of each system, evenly spread over its sorted ids: the same prompts of systems that share."""
    chosen: list[str] = []
    for system in dict.fromkeys(row["system"] for row in rows):
        names = sorted(row["id"] for row in rows if row["system"] == system)
        places = np.linspace(0, len(names) - 1, min(count, len(names))).astype(int).tolist()
        chosen += [names[place] for place in dict.fromkeys(places)]
    return chosen


def _row(asked: dict, clip: Clip, measured: dict, wanted: bool, ears: Ears) -> dict:
    kept = {key: asked[key] for key in (*ASKED, *MADE)}
    sane = {"silent": is_silent(clip), "length_plausible": length_is_plausible(clip.seconds, asked["text"])}
    heard = ears.hear(clip, asked["kind"], sane["silent"]) if wanted else None
    probe = features(clip, {**measured, "duration": clip.seconds}).astype("float32").tolist()
    words = errors_of(asked["text"], heard) if heard is not None else dict.fromkeys(COUNTS)
    stressed = asked["kind"] == "emphasis" or (asked["kind"] == "clip" and "*" in asked["text"])
    strong = ears.prominence(clip, asked["text"]) if stressed else None
    return {**measured, **kept, **sane, "heard": heard, **words, "features": probe, "prominence": strong}
