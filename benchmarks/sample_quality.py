"""Quality of the sample's base against what its pretraining cost: by training step and by minutes, with a plot.

    python -m benchmarks.sample_quality FOLDER [--steps DIR] [--out DIR] [--clips 48]

FOLDER is that of `python -m parler_assets.sample.pretraining`. Every `step-*` in `--steps` (default: its
`training/checkpoints`; training keeps the newest few, so copy others away while it runs) is put into the base that the
package ships, whose codec decodes all of them, and speaks the same held-out descriptions and texts. Printed beside the
clips' own copies: grammar word error rate, gender by pitch, voices told apart by a probe of copies, rank correlation of
the rate with the one asked for, and the codec's STOI. Minutes are the training's own, from its metrics.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from parler_assets import storage
from parler_assets.recipe import Annotation, Evaluation
from parler_assets.sample import base_path
from parler_assets.speech.annotation.stage import annotate
from parler_assets.speech.audio import Clip, decode
from parler_assets.tts.data import HELD_OUT, TRAIN, Split, open_split
from parler_assets.tts.scoring.adherence import BETWEEN_GENDERS
from parler_assets.tts.scoring.asr import GrammarAsr
from parler_assets.tts.scoring.features import features
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.statistics import spearman
from parler_assets.tts.scoring.words import errors_of
from parler_assets.tts.synthesis.rates import RATES
from parler_assets.tts.synthesis.voice import Voice

SPEAKING = Evaluation(speakers=["any"], styles=["default"], max_seconds=8)
LEARNT = 240  # clips of named voices that the probe learns from
COLUMNS = ("word_error_rate", "gender", "speaker", "rate_spearman")


class Judges:
    """What all checkpoints are measured by."""

    def __init__(self, folder: Path, voice: Voice, clips: int) -> None:
        self.train, held_out = open_split(folder / "training_set", TRAIN), open_split(folder / "training_set", HELD_OUT)
        self.codec = codec_of(voice)
        rows = held_out.table.to_pylist()
        self.chosen = np.linspace(0, len(rows) - 1, min(clips, len(rows))).astype(int).tolist()
        self.rows = [rows[place] for place in self.chosen]
        self.copies = self.decoded(held_out, self.chosen)
        self.asr = GrammarAsr(sorted({row["text"] for row in rows})[:400])
        self.probe = self._probe()

    def decoded(self, split: Split, places: Sequence[int]) -> list[Clip]:
        return [Clip(s, self.codec.sampling_rate) for s in self.codec.decode([split.clip(place).T for place in places])]

    def _probe(self) -> Probe:
        speakers = self.train.table["speaker"].to_pylist()
        named = [place for place, speaker in enumerate(speakers) if speaker]
        places = [named[k] for k in np.linspace(0, len(named) - 1, min(LEARNT, len(named))).astype(int)]
        clips, rows = self.decoded(self.train, places), self.train.table.take(places).to_pylist()
        return Probe("speaker", self._features(clips, rows), [row["speaker"] for row in rows])

    def _features(self, clips: Sequence[Clip], rows: Sequence[dict]) -> np.ndarray:
        if not clips:
            return np.zeros((0, 1))
        tags = annotate(clips, [row["text"] for row in rows], Annotation()).to_pylist()
        return np.array([features(c, {**t, "duration": c.seconds}) for c, t in zip(clips, tags, strict=True)])

    def score(self, clips: Sequence[Clip]) -> dict[str, float]:
        """Of one clip for every chosen row."""
        heard = [errors_of(r["text"], self.asr.transcribe(c)) for r, c in zip(self.rows, clips, strict=True)]
        tags = annotate(clips, [row["text"] for row in self.rows], Annotation()).to_pylist()
        pairs = list(zip(self.rows, clips, tags, strict=True))
        pitched = [(row, tag["utterance_pitch_mean"]) for row, _, tag in pairs if tag["utterance_pitch_mean"]]
        pitched = [(row, pitch) for row, pitch in pitched if "male" in row["description"]]  # others are named
        female = [("female" in row["description"], pitch > BETWEEN_GENDERS) for row, pitch in pitched]
        rates = [
            (place, tag["speaking_rate_a"] or 0.0)
            for row, _, tag in pairs
            if (place := rate_in(row["description"])) is not None
        ]
        named = [(row, clip) for row, clip, _ in pairs if row["speaker"] in self.probe.classes]
        told = self.probe.predict(self._features([clip for _, clip in named], [row for row, _ in named]))
        return {
            "word_error_rate": sum(h["word_errors"] for h in heard) / sum(h["words"] for h in heard),
            "gender": float(np.mean([asked == found for asked, found in female])) if female else float("nan"),
            "speaker": float(np.mean([h == r["speaker"] for h, (r, _) in zip(told, named, strict=True)]))
            if named
            else float("nan"),
            "rate_spearman": float(spearman(*np.array(rates, float).T)),
        }


def codec_of(voice: Voice):
    from parler_assets.speech.codec.codec import Codec

    return Codec(voice.model.audio_encoder)


def rate_in(description: str) -> int | None:
    """The place of the rate that a description asks for in the labels' words; None where it says it otherwise."""
    return next((place for place, label in enumerate(RATES) if label in description), None)


def voice_at(step: Path) -> Voice:
    """The shipped base with a step's trained weights; a whole checkpoint as it is."""
    if (step / "config.json").is_file():
        return Voice(step)
    voice = Voice(base_path())
    parameters = dict(voice.model.named_parameters())
    with torch.no_grad():
        for name, value in load_file(step / "weights.safetensors").items():
            parameters[name].copy_(value)
    return voice


def spoken(voice: Voice, rows: Sequence[dict]) -> list[Clip]:
    said = []
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        seeds = list(range(start, start + len(batch)))
        said += voice.speak([r["text"] for r in batch], [r["description"] for r in batch], SPEAKING, seeds)
    return [Clip(one.samples if len(one.samples) else np.zeros(voice.rate // 10, np.float32), one.rate) for one in said]


def codec_stoi(judges: Judges, raw: Path) -> float:
    from pystoi import stoi

    wanted = {row["id"]: copy for row, copy in zip(judges.rows, judges.copies, strict=True)}
    found = []
    for table in storage.iterate(raw, ["id", "audio"]):
        for row in table.to_pylist():
            if row["id"] in wanted:
                copy = wanted[row["id"]]
                clip = decode(row["audio"]).at(copy.rate)
                size = min(len(clip.samples), len(copy.samples))
                found.append(stoi(clip.samples[:size], copy.samples[:size], copy.rate))
    return float(np.mean(found)) if found else float("nan")


def minutes_of(metrics: Path) -> dict[int, float]:
    """Step to minutes of training."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()] if metrics.is_file() else []
    return {line["step"]: line["seconds"] / 60 for line in lines if "seconds" in line}


def draw(curve: Sequence[dict], ceiling: dict[str, float], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), sharex=True)
    for axis, name in zip(axes.flat, COLUMNS, strict=True):
        axis.plot([point["minutes"] for point in curve], [point[name] for point in curve], marker="o")
        axis.axhline(ceiling[name], linestyle=":", color="grey", label="copies of the clips")
        axis.set_title(name.replace("_", " "))
    axes[0, 0].legend()
    for axis in axes[1]:
        axis.set_xlabel("minutes of training")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--clips", type=int, default=48)
    asked = parser.parse_args()
    steps = sorted((asked.steps or asked.folder / "training" / "checkpoints").glob("step-*"))
    if not steps:
        parser.error(f"no step-* in {asked.steps or asked.folder / 'training' / 'checkpoints'}")
    minutes = minutes_of(asked.folder / "training" / "metrics.jsonl")
    judges = Judges(asked.folder, Voice(base_path()), asked.clips)
    ceiling = judges.score(judges.copies)
    print(f"codec STOI {codec_stoi(judges, asked.folder / 'raw'):.3f} over {len(judges.rows)} held-out clips")
    print("step      minutes  " + "  ".join(f"{name:>15}" for name in COLUMNS))
    curve = []
    for step in steps:
        number = int(step.name.partition("-")[2])
        found = {"step": number, "minutes": minutes.get(number, float("nan"))}
        found |= judges.score(spoken(voice_at(step), judges.rows))
        curve.append(found)
        numbers = "  ".join(f"{found[name]:15.3f}" for name in COLUMNS)
        print(f"{number:<8} {found['minutes']:8.1f}  {numbers}", flush=True)
    print("copies             " + "  ".join(f"{ceiling[name]:15.3f}" for name in COLUMNS))
    asked.out.mkdir(parents=True, exist_ok=True)
    draw(curve, ceiling, asked.out / "sample_quality.png")
    storage.write_json(asked.out / "sample_quality.json", {"curve": curve, "copies": ceiling})


if __name__ == "__main__":
    main()
