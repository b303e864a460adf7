"""What is known of the real speakers: genders, mean pitch, the sentences they say, and clips for the probes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parler_assets.recipe import Annotation
from parler_assets.speech import shards
from parler_assets.speech.audio import Clip
from parler_assets.tts.data import HELD_OUT, TRAIN, open_split
from parler_assets.tts.score.features import features
from parler_assets.tts.score.measure import tags
from parler_assets.tts.score.probe import Probe

PER_CELL = 8  # training clips of each speaker and style that the probes learn from


@dataclass(frozen=True)
class Speakers:
    genders: dict[str, str]
    pitches: dict[str, float]  # Hz, mean over a speaker's clips
    bin_facts: dict | None


def known_speakers(bins: Sequence[Path]) -> Speakers:
    """Genders and mean pitches from the text bins of the lanes that have them; edges and labels of the first."""
    genders: dict[str, str] = {}
    pitches = defaultdict(list)
    for folder in bins:
        for row in shards.read(folder, ["speaker", "gender", "utterance_pitch_mean"]).to_pylist():
            if row["speaker"] and row["gender"]:
                genders[row["speaker"]] = row["gender"]
            if row["speaker"] and row["utterance_pitch_mean"]:
                pitches[row["speaker"]].append(row["utterance_pitch_mean"])
    facts = shards.read_manifest(bins[0]).facts if bins else None
    return Speakers(genders, {name: float(np.mean(values)) for name, values in pitches.items()}, facts)


def sentences(training_set: Path, texts: Sequence[str], speakers: Sequence[str]) -> list[str]:
    """What the speakers say in the corpus and in the evaluation: the words a closed recogniser has to know."""
    known = set(texts)
    for split in (TRAIN, HELD_OUT):
        table = open_split(training_set, split).table.select(["speaker", "text"])
        known |= {row["text"] for row in table.to_pylist() if row["speaker"] in speakers}
    return sorted(known)


def train_probes(
    training_set: Path, base: Path, styles: Sequence[str], known: Speakers, annotation: Annotation, device: str
) -> dict[str, Probe]:
    """Probes of speaker and style, from training clips encoded and decoded by the codec."""
    from parler_assets.speech.codec import load_codec

    split = open_split(training_set, TRAIN)
    chosen = _chosen(split.table.select(["speaker", "style", "text"]).to_pylist(), known, styles)
    rows = [split.table.slice(index, 1).to_pylist()[0] for index in chosen]
    codec = load_codec(base, device)
    clips = []
    for start in range(0, len(chosen), 16):
        sounds = codec.decode([split.clip(index).T for index in chosen[start : start + 16]])
        clips += [Clip(sound, codec.sampling_rate) for sound in sounds]
    measured = tags(clips, rows, annotation, known.genders, None, device)
    heard = [features(clip, {**row, "duration": clip.seconds}) for clip, row in zip(clips, measured, strict=True)]
    stacked = np.array(heard)
    return {name: Probe(name, stacked, [row[name] for row in rows]) for name in ("speaker", "style")}


def _chosen(rows: Sequence[dict], known: Speakers, styles: Sequence[str]) -> list[int]:
    cells = defaultdict(list)
    for index, row in enumerate(rows):
        if row["speaker"] in known.genders and row["style"] in styles:
            cells[row["speaker"], row["style"]].append(index)
    return sorted(index for cell in cells.values() for index in cell[:PER_CELL])
