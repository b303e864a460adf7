"""What a clip of an evaluation costs: CPU seconds of generating, scoring and reporting it, and what 560 come to.

    parler-assets run --recipe sample
    OMP_NUM_THREADS=1 python benchmarks/evaluation_split.py --recipe sample --clips 48 --mini 4

Two checkpoints speak grid prompts of the recipe's finished evaluation: its own, and with `--mini N` one of Parler-TTS
Mini v0.1's size with random weights (text encoder, decoder and codec as published), cut at `--seconds`. Clips of both
are scored and reported alike. What is paid once (clips the probes learn from, loading) stands apart from what every
clip adds; totals of 560 clips are extrapolated from these. Random weights speak noise, which the recogniser hears at
a cost of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from generation import MINI
from sides import table

from parler_assets import storage
from parler_assets.cli.options import finetuned, finished_stages, open_project
from parler_assets.speech.audio import encode
from parler_assets.storage import Part
from parler_assets.tts.report.cells import MOST_PROMPTS
from parler_assets.tts.report.report import write_report
from parler_assets.tts.scoring.measure import evenly
from parler_assets.tts.scoring.stage import score_samples
from parler_assets.tts.scoring.voices import known_speakers, train_probes
from parler_assets.tts.synthesis.samples import SCHEMA
from parler_assets.tts.synthesis.voice import Utterance, Voice

WHOLE, FEW = 560, 4
TEXT = {"d_model": 1024, "d_ff": 2816, "d_kv": 64, "num_layers": 24, "num_heads": 16}  # flan-t5-large
CODEC = {"encoder_hidden_size": 64, "decoder_hidden_size": 1536, "codebook_dim": 8, "sampling_rate": 44100}


def spent(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    return work(), time.process_time() - started


def mini(folder: Path) -> Path:
    """A checkpoint of Mini v0.1's size with random weights."""
    from parler_assets.tts import ParlerTTSForConditionalGeneration
    from parler_assets.tts.model.tokenizers import Tokenizers
    from tests.support.tiny_checkpoint import tiny_config, tiny_tokenizer

    config = tiny_config(**MINI, ratios=(2, 4, 8, 8), sampling_rate=44100)
    config.text_encoder.update(TEXT)
    config.audio_encoder = type(config.audio_encoder)(downsampling_ratios=[2, 4, 8, 8], n_codebooks=9, **CODEC)
    tokenizer = tiny_tokenizer()
    ParlerTTSForConditionalGeneration(config).save_pretrained(folder, tokenizers=Tokenizers(tokenizer, tokenizer))
    return folder


def prompts(samples: Path, count: int) -> list[dict]:
    """Grid prompts, evenly chosen, those of like length beside each other as an evaluation batches them."""
    rows = storage.read(samples, [name for name in SCHEMA.names if name != "audio"]).to_pylist()
    grid = [row for row in rows if row["kind"] == "grid" and row["system"] == "finetuned"]
    chosen = set(evenly(grid, count))
    return sorted((row for row in grid if row["id"] in chosen), key=lambda row: row["duration"])


def speak(voice: Voice, asked: Sequence[dict], settings) -> list[Utterance]:
    said: list[Utterance] = []
    for start in range(0, len(asked), settings.batch_size):
        batch = asked[start : start + settings.batch_size]
        texts, styles = [row["text"] for row in batch], [row["description"] for row in batch]
        said += voice.speak(texts, styles, settings, [row["seed"] for row in batch])
    return said


def written(folder: Path, asked: Sequence[dict], said: Sequence[Utterance], facts: dict) -> Path:
    """A finished stage of these samples."""
    rows = [
        {**row, "audio": encode(one.samples, one.rate), "duration": one.duration, "ended": one.ended}
        for row, one in zip(asked, said, strict=True)
    ]
    made = Part(pa.Table.from_pylist(rows, schema=SCHEMA))
    storage.build(folder, folder.name, 1, lambda _: made, facts=lambda: facts)
    return folder


def judge(score: Callable, samples: Path, settings, folder: Path) -> dict[str, float]:
    """Seconds of scoring with every clip heard and with the fewest heard, and of the report."""
    unheard = settings.model_copy(update={"recognised": 2})
    _, most = spent(partial(score, samples, folder / "heard", settings.model_copy(update={"recognised": None})))
    _, least = spent(partial(score, samples, folder / "unheard", unheard))
    _, report = spent(partial(write_report, samples, folder / "heard"))
    return {"heard": most, "unheard": least, "report": report}


def costs(score: Callable, made: tuple, settings, scratch: Path, facts: dict) -> dict[str, float]:
    """Of each clip and once: what `FEW` clips cost tells the two apart."""
    asked, said = made
    places = np.linspace(0, len(asked) - 1, min(FEW, len(asked) - 1)).astype(int)  # as long as the others, on average
    few = written(scratch / "few", [asked[i] for i in places], [said[i] for i in places], facts)
    every = written(scratch / "every", asked, said, facts)
    judge(score, few, settings, scratch / "warm")
    one, all_ = (judge(score, samples, settings, scratch / f"{samples.name} judged") for samples in (few, every))
    each = {name: (all_[name] - one[name]) / (len(asked) - len(places)) for name in all_}
    once = {name: max(0.0, one[name] - len(places) * each[name]) for name in all_}
    hearing = (each["heard"] - each["unheard"]) * len(asked) / (len(asked) - 2)
    return {
        "scoring": each["unheard"], "hearing": hearing, "scoring once": once["unheard"],
        "report": each["report"], "report once": once["report"],
    }  # fmt: skip


def whole(found: dict[str, float], settings) -> dict[str, float]:
    """Seconds of 560 clips of one system; no more are heard, and shown in the page, than the recipe has it."""
    shown = min(WHOLE, MOST_PROMPTS * len(settings.speakers) * len(settings.styles))
    scoring = WHOLE * found["scoring"] + min(WHOLE, settings.recognised or WHOLE) * found["hearing"]
    return {
        "generating": WHOLE * found["generating"],
        "scoring": scoring + found["scoring once"] + found["probes"],
        "report": shown * found["report"] + found["report once"],
    }


def measure(chosen, workspace, built, given: argparse.Namespace, scratch: Path) -> dict[str, dict[str, float]]:
    bins, facts = list(built.bins.values()), storage.read_manifest(workspace.evaluation_samples).facts
    probes = scratch / "probes"
    learning = (chosen.evaluation.styles, known_speakers(bins), chosen.annotation, probes)
    load, sides = partial(train_probes, built.training_set, built.base), {}
    _, learnt = spent(lambda: load(*learning))
    rows = storage.read_manifest(probes).rows

    def score(samples: Path, folder: Path, settings):
        inputs = (samples, built.training_set, bins, built.base, folder, chosen.annotation, settings)
        return score_samples(*inputs, probes_folder=probes)

    sides["the recipe's checkpoint"] = (finetuned(workspace), given.clips, chosen.evaluation)
    if given.mini:
        short = chosen.evaluation.model_copy(update={"max_seconds": given.seconds})
        sides["Mini v0.1's size, random weights"] = (mini(scratch / "mini"), given.mini, short)
    found = {}
    for name, (checkpoint, count, settings) in sides.items():
        voice, asked = Voice(checkpoint), prompts(workspace.evaluation_samples, count)
        said, generating = spent(lambda v=voice, a=asked, s=settings: speak(v, a, s))
        again = range(max(1, given.clips // count))  # few clips are judged again and again: one is too short to time
        many = [{**row, "id": f"{row['id']} {n}"} for n in again for row in asked]
        split = costs(score, (many, said * len(again)), settings, scratch / f"side {len(found)}", facts)
        split |= {"clips": count, "generating": generating / count, "speech": sum(one.duration for one in said) / count}
        split["probes"] = learnt + (rows * decoding(voice, said) / count if found else 0.0)
        found[name] = split
    return found


def decoding(voice: Voice, said: Sequence[Utterance]) -> float:
    """Seconds in which the codec turns these samples' codes into sound: what each clip of the probes costs again."""
    from parler_assets.speech.codec.codec import Codec

    return spent(lambda: Codec(voice.model.audio_encoder).decode([one.codes for one in said]))[1]


def show(found: dict[str, dict[str, float]], settings) -> None:
    parts = ("speech", "generating", "scoring", "hearing", "report", "probes", "scoring once", "report once")
    rows = {name: [str(split["clips"]), *(f"{split[part]:.3f}" for part in parts)] for name, split in found.items()}
    table("CPU seconds", ["clips", *parts], rows)
    print("\nEach clip: speech to report (hearing: where the recogniser hears it). Once: probes to report once.")
    totals = {name: whole(split, settings) for name, split in found.items()}
    totalled = {
        f"{name}, from {found[name]['clips']}": [
            *(f"{t[part]:.0f}" for part in ("generating", "scoring", "report")),
            f"{(t['scoring'] + t['report']) / t['generating']:.3f}",
        ]
        for name, t in totals.items()
    }
    table(f"{WHOLE} clips, extrapolated", ["generating", "scoring", "report", "added to generating"], totalled)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default=None)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--mini", type=int, default=4, help="clips of the random checkpoint of Mini's size; 0: none")
    parser.add_argument("--seconds", type=float, default=3.0, help="of speech at most, with random weights")
    given = parser.parse_args()
    project = open_project(given.recipe)
    stages, chosen = finished_stages(project), project.recipe
    with tempfile.TemporaryDirectory() as scratch:
        show(measure(chosen, project.workspace, stages, given, Path(scratch)), chosen.evaluation)
