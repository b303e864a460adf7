"""Every sample measured: the corpus's own tags and bins, sanity, probe features, and what the grammar ASR transcribes.

A measured row depends on its own sample and on how it is measured, which its column `measured_as` is a digest of: those
of real clips, copies and the base are taken over when the next checkpoint is scored in the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Annotation, digest
from parler_assets.speech.audio import Clip, decode
from parler_assets.storage import Part, StageResult
from parler_assets.tts.scoring.asr import GrammarAsr, grammar_asr
from parler_assets.tts.scoring.drift import drift_parts
from parler_assets.tts.scoring.emphasis import prominence
from parler_assets.tts.scoring.features import features
from parler_assets.tts.scoring.words import COUNTS, errors_of, words_of
from parler_assets.tts.synthesis.kept import current, rows_of
from parler_assets.tts.synthesis.sanity import is_silent, length_is_plausible

VERSION = "4"
KEY = "measured_as"
ASKED = ("id", "system", "prompt", "speaker", "style", "rate", "kind", "attribute", "label", "text", "description")
MADE = ("seed", "duration", "seconds_to_generate", "ended")
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
    """One row a sample: what was asked, tags, bins, `silent`, `length_plausible`, `features`, `transcript`.

    Args:
        bin_facts: edges and labels of the corpus; None leaves bins out.
        most: grid samples and clips of each system that are transcribed, evenly chosen, the same prompts of base and
            fine-tuned; None transcribes all. All else is measured on every sample.
        sentences: what the grammar ASR knows; `facts["recogniser"]` says why when there is none.
    """
    from parler_assets.hub import weights

    annotation = weights.pinned(annotation)
    (asr, reason), skipped = grammar_asr(sentences, annotation.language), _skipped(samples, most)
    # How the ASR's thresholds are set is part of the code's version.
    way = (annotation, weights.digests(annotation), dict(genders), bin_facts, sorted(sentences))
    fingerprint, each = digest(*way, most, VERSION), digest(*way, reason, VERSION)
    earlier = {} if rebuild else _measured_before(folder)

    def transform(table: pa.Table) -> Part:
        rows = current(table).to_pylist()
        keys = [_key(row, row["id"] not in skipped, each) for row in rows]
        known = _known(keys, earlier)
        fresh = [row for row, key in zip(rows, keys, strict=True) if key not in known]
        made = iter(measured(fresh))
        found = [known[key] if key in known else {**next(made), KEY: key} for key in keys]
        return Part(pa.Table.from_pylist(found))

    def measured(rows: list[dict]) -> list[dict]:
        clips = [decode(row["audio"]) for row in rows]
        tagged = tags(clips, rows, annotation, genders, bin_facts, device)
        wanted = [row["id"] not in skipped for row in rows]
        made = [_row(*parts, asr) for parts in zip(rows, clips, tagged, wanted, strict=True)]
        parts = drift_parts(rows, clips, annotation, device)
        return [{**row, **parted} for row, parted in zip(made, parts, strict=True)]

    def facts() -> dict:
        return {"recogniser": reason, "chance": asr.chance if asr else ""}

    return storage.map_shards(samples, folder, fingerprint, transform, facts=facts, rebuild=rebuild)


def measured_rows(folder: Path) -> list[dict]:
    """The rows of a finished stage, without what tells them apart from those of another way of measuring."""
    return [{name: value for name, value in row.items() if name != KEY} for row in storage.read(folder).to_pylist()]


def _key(row: dict, transcribed: bool, way: str) -> str:
    """Digest of all that a measured row depends on."""
    return digest(way, transcribed, [row[name] for name in (*ASKED, *MADE)], sha256(row["audio"]).hexdigest())


def _measured_before(folder: Path) -> dict[str, Path]:
    """Key to the shard that has it, over whatever whole shards lie in the folder."""
    found: dict[str, Path] = {}
    for path in storage.intact_shards(folder):
        found |= dict.fromkeys((row[KEY] for row in rows_of(path, columns=[KEY]) if KEY in row), path)
    return found


def _known(keys: Sequence[str], earlier: Mapping[str, Path]) -> dict[str, dict]:
    """Rows of these keys in earlier shards."""
    paths = {earlier[key] for key in keys if key in earlier}
    rows = [row for path in paths for row in rows_of(path, filters=[(KEY, "in", set(keys))])]
    return {row[KEY]: row for row in rows}


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
    from parler_assets.speech.annotation.stage import annotate
    from parler_assets.speech.binning.bins import bin_table

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


def _skipped(samples: Path, most: int | None) -> set[str]:
    """Ids of the grid samples and clips that are not transcribed: all but `most` of each system."""
    rows = [] if most is None else storage.read(samples, ["id", "system", "kind"]).to_pylist()
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


def _row(asked: dict, clip: Clip, measured: dict, wanted: bool, asr: GrammarAsr | None) -> dict:
    """A measured row, with its transcript where that is wanted and there is an ASR."""
    kept = {key: asked[key] for key in (*ASKED, *MADE)}
    sane = {"silent": is_silent(clip), "length_plausible": length_is_plausible(clip.seconds, asked["text"])}
    transcript = None
    if asr and wanted:
        transcript = "" if sane["silent"] else asr.transcribe(clip, several=asked["kind"] == "long")
    probe = features(clip, {**measured, "duration": clip.seconds}).astype("float32").tolist()
    counts = dict.fromkeys(COUNTS) if transcript is None else errors_of(asked["text"], transcript)
    found = {"transcript": transcript, **counts, "features": probe}
    return {**measured, **kept, **sane, **found, "prominence": _prominence(asked, clip, asr)}


def _prominence(asked: dict, clip: Clip, asr: GrammarAsr | None) -> list[float] | None:
    """How much each word stands out, where one is asked to; None where the words cannot be placed."""
    stressed = asked["kind"] == "emphasis" or (asked["kind"] == "clip" and "*" in asked["text"])
    spans = asr.align(clip, asked["text"]) if asr and stressed else []
    return prominence(clip, spans, words_of(asked["text"])) if spans else None
