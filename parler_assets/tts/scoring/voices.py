"""What is known of the real speakers: genders, mean pitch, the sentences they say, and clips for the probes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from parler_assets import storage
from parler_assets.recipe import Annotation, digest
from parler_assets.speech.audio import Clip
from parler_assets.storage import Part
from parler_assets.tts.base import checkpoint_digest
from parler_assets.tts.data import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.scoring.adherence import Attribute, attributes
from parler_assets.tts.scoring.crossed import SOURCE
from parler_assets.tts.scoring.features import features
from parler_assets.tts.scoring.measure import tags
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.synthesis.clips import PER_CELL as COMPARED

VERSION = "1"
BATCH = 16
PER_CELL = 8  # clips of each speaker and style that the probes learn from
LEAST = 4  # held-out clips of each speaker and style, beside those the samples are compared with, to learn from them


@dataclass(frozen=True)
class Speakers:
    genders: dict[str, str]
    pitches: dict[str, float]  # Hz, mean over a speaker's clips
    bin_facts: dict | None

    @property
    def attributes(self) -> list[Attribute]:
        """What is asked for by labels, with the corpus's own labels."""
        return attributes((self.bin_facts or {}).get("labels", {}))


def known_speakers(bins: Sequence[Path]) -> Speakers:
    """Genders and mean pitches from the text bins of the lanes that have them; edges and labels of the first."""
    genders: dict[str, str] = {}
    pitches = defaultdict(list)
    for folder in bins:
        for row in storage.read(folder, ["speaker", "gender", "utterance_pitch_mean"]).to_pylist():
            if row["speaker"] and row["gender"]:
                genders[row["speaker"]] = row["gender"]
            if row["speaker"] and row["utterance_pitch_mean"]:
                pitches[row["speaker"]].append(row["utterance_pitch_mean"])
    facts = storage.read_manifest(bins[0]).facts if bins else None
    return Speakers(genders, {name: float(np.mean(values)) for name, values in pitches.items()}, facts)


def sentences(training_set: Path, texts: Sequence[str], speakers: Sequence[str]) -> list[str]:
    """What the speakers say in the corpus and in the evaluation: the words that a grammar ASR has to know."""
    known = set(texts)
    for split in (TRAIN, HELD_OUT):
        table = open_split(training_set, split).table.select(["speaker", "text"])
        known |= {row["text"] for row in table.to_pylist() if row["speaker"] in speakers}
    return sorted(known)


def train_probes(
    training_set: Path,
    base: Path,
    styles: Sequence[str],
    known: Speakers,
    annotation: Annotation,
    folder: Path,
    device: str = "cpu",
    rebuild: bool = False,
) -> dict[str, Probe]:
    """Probes of speaker and style, from real clips that went through the codec: held-out ones where they suffice.

    What is measured on those clips is kept in `folder`, for the next checkpoint from the same training set.
    """
    split, chosen, source = _learnt_from(training_set, known, styles)
    batches = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]

    def make(index: int) -> Part:
        from parler_assets.speech.codec.codec import load_codec

        codec = load_codec(base, device)
        rows = split.table.take(batches[index]).to_pylist()
        sounds = codec.decode([split.clip(row).T for row in batches[index]])
        clips = [Clip(sound, codec.sampling_rate) for sound in sounds]
        measured = tags(clips, rows, annotation, known.genders, None, device, room=annotation.era != "a")
        heard = [features(clip, {**row, "duration": clip.seconds}) for clip, row in zip(clips, measured, strict=True)]
        named = {name: [row[name] for row in rows] for name in ("speaker", "style")}
        return Part(pa.table({**named, "features": [one.astype("float32").tolist() for one in heard]}))

    built = (storage.read_manifest(training_set).digest, checkpoint_digest(base))
    fingerprint = digest(*built, annotation, known.genders, list(styles), chosen, VERSION)
    learnt = storage.build(folder, fingerprint, len(batches), make, rebuild=rebuild)
    if not batches:
        return {name: Probe(name, np.zeros((0, 1)), [], source) for name in ("speaker", "style")}
    rows = storage.read(learnt.folder).to_pylist()
    stacked = np.array([row["features"] for row in rows])
    return {name: Probe(name, stacked, [row[name] for row in rows], source) for name in ("speaker", "style")}


def _learnt_from(training_set: Path, known: Speakers, styles: Sequence[str]) -> tuple[Split, list[int], str]:
    """Held-out clips other than those that are samples of `real`; training clips where those are too few."""
    held_out = open_split(training_set, HELD_OUT)
    cells = [rows[COMPARED:] for rows in _cells(held_out, known, styles)]
    if cells and min(map(len, cells)) >= LEAST:
        return held_out, _some(cells), SOURCE
    train = open_split(training_set, TRAIN)
    wanted = COMPARED + LEAST
    return train, _some(_cells(train, known, styles)), f"training clips: fewer than {wanted} of a cell are held out"


def _cells(split: Split, known: Speakers, styles: Sequence[str]) -> list[list[int]]:
    """Row numbers of each speaker and style."""
    cells = defaultdict(list)
    for index, row in enumerate(split.table.select(["speaker", "style"]).to_pylist()):
        if row["speaker"] in known.genders and row["style"] in styles:
            cells[row["speaker"], row["style"]].append(index)
    return list(cells.values())


def _some(cells: Sequence[Sequence[int]]) -> list[int]:
    return sorted(index for cell in cells for index in cell[:PER_CELL])
