"""Annotation against DataSpeech's way of doing it: seconds of CPU, memory, and what the fast mode costs in labels.

    python -m benchmarks.annotation speed      in the environment that annotation_env.sh makes
    python -m benchmarks.annotation memory     a corpus of 100,000 rows made of a few small clips, classical annotators
    python -m benchmarks.annotation fast       labels that flip between the exact and the fast modes

from the root of the repository, so that its packages are found.

`speed` runs the same clips with the same random weights through both ways in one process. DataSpeech's way: each clip
is decoded three times and goes alone through penn, through pyannote's sliding inference (batches of 32 chunks, the
tail by itself). Ours: decoded once, frames and chunks of all clips batched, phonemes looked up (which DataSpeech's
side is spared). Times are CPU seconds of the process, the median of --repeats. Add --seconds and --clips for other
corpora; --threads 1 2 measures with one thread and with two.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from parler_assets import storage
from parler_assets.recipe import Annotation, Binning
from parler_assets.speech.annotation.networks import brouhaha as brouhaha_network
from parler_assets.speech.annotation.networks import fcnf0
from parler_assets.speech.annotation.stage import annotate, tag_corpus
from parler_assets.speech.audio import decode, encode
from parler_assets.speech.binning.bins import bin_table, label_values
from parler_assets.speech.binning.edges import ATTRIBUTES, edges_and_labels
from parler_assets.storage import Part
from tests.support.golden_weights import fill, sound

TEXT = "Why do you make me do these examples? They are so generic."


def write_weights(folder: Path) -> None:
    """Random weights in the published layouts."""
    torch.save({"model": fill(fcnf0.Fcnf0(), 7).state_dict()}, folder / "fcnf0++.pt")
    network = fill(brouhaha_network.BrouhahaNetwork(), 8, {"classifier.linears.vad.weight": -27.0})
    torch.save({"state_dict": network.state_dict()}, folder / "best.ckpt")
    os.environ["PARLER_WEIGHTS"] = str(folder)


def clips(count: int, seconds: float) -> list[bytes]:
    """Files of 48 kHz whose lengths spread around `seconds` as a read corpus's do."""
    lengths = np.random.default_rng(0).gamma(6, seconds / 6, count).clip(1.0, 30.0)
    return [encode(sound(length, 48000, seed=index), 48000) for index, length in enumerate(lengths)]


def timed(work: Callable[[], object], repeats: int = 1) -> float:
    """CPU seconds of one call, the median of several."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


# --------------------------------------------------------------------------------------------------------------- speed


EXACT = Annotation(pitch="penn", room="brouhaha")
FAST = Annotation(pitch="penn_fast", room="brouhaha_fast")


def speed(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_weights(Path(folder))
        files = clips(arguments.clips, arguments.seconds)
        total = sum(decode(file).seconds for file in files)
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            print(f"{len(files)} clips, {total:.0f} s of audio, {threads} thread(s); CPU seconds")
            theirs = one_by_one(files, Path(folder), arguments.repeats)
            for name, chosen in (("exact", EXACT), ("fast", FAST)):
                seconds, pitch = (
                    _ours_timed(files, settings, arguments.repeats)
                    for settings in (chosen, chosen.model_copy(update={"room": "classical"}))
                )
                print(
                    f"ours, {name:<6} {seconds:7.2f}   {theirs / seconds:5.2f} times as fast per CPU second "
                    f"(with a classical room {pitch:.2f}); {total / seconds:.1f} times real time"
                )


def _ours_timed(files: list[bytes], settings: Annotation, repeats: int) -> float:
    ours(files[:1], settings)  # loads the networks
    return timed(lambda: ours(files, settings), repeats)


def ours(files: list[bytes], settings: Annotation) -> pa.Table:
    return annotate([decode(file) for file in files], [TEXT] * len(files), settings)


def one_by_one(files: list[bytes], folder: Path, repeats: int) -> float:
    """DataSpeech's way: three passes over the clips, each clip by itself."""
    import penn

    from benchmarks.parity_brouhaha import Inference, make_original, original_frames, original_numbers

    network = make_original()
    network.load_state_dict(fill(network, 8, {"classifier.linears.vad.weight": -27.0}).state_dict())
    inference = Inference(network, duration=6.0, step=0.6, batch_size=32, device=torch.device("cpu"))
    options = {"hopsize": 0.01, "fmin": 30.0, "fmax": 1000.0, "batch_size": 4096, "center": "half-hop"}

    def pitch() -> None:
        for file in files:
            audio = torch.from_numpy(decode(file).at(16000).samples)[None]
            penn.from_audio(audio, 16000, checkpoint=folder / "fcnf0++.pt", interp_unvoiced_at=0.065, **options)

    def room() -> None:
        for file in files:
            original_numbers(original_frames(inference, decode(file).at(16000).samples))

    def rate() -> None:
        for file in files:
            decode(file).at(16000)

    seconds = {name: timed(work, repeats) for name, work in (("penn", pitch), ("pyannote", room), ("rate", rate))}
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    print(f"one by one   {sum(seconds.values()):7.2f}   ({parts})")
    return sum(seconds.values())


# -------------------------------------------------------------------------------------------------------------- memory


def memory(arguments: argparse.Namespace) -> None:
    """Peak memory and time per clip while a corpus of repeated clips is tagged; both must not grow with it."""
    files = [encode(sound(1.0, 16000, seed=index), 16000) for index in range(16)]
    rows = 256
    with tempfile.TemporaryDirectory() as folder:
        for count in (arguments.rows // 10, arguments.rows):
            table = _raw_rows(files, rows)
            raw = storage.build(Path(folder) / f"raw{count}", "raw", -(-count // rows), lambda _, t=table: Part(t))
            started = time.process_time()
            tags = tag_corpus(raw.folder, Path(folder) / f"tags{count}", Annotation())
            cost = (time.process_time() - started) / tags.manifest.rows
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"{tags.manifest.rows} clips: {cost * 1000:.2f} ms of CPU a clip, peak memory {peak:.2f} GiB")


def _raw_rows(files: list[bytes], rows: int) -> pa.Table:
    columns = {name: [None] * rows for name in ("speaker", "style", "gender")}
    columns |= {"id": [str(row) for row in range(rows)], "text": [TEXT] * rows, "duration": [1.0] * rows}
    columns["audio"] = [files[row % len(files)] for row in range(rows)]
    text = {name: pa.string() for name in ("speaker", "style", "gender", "id", "text")}
    kinds = text | {"duration": pa.float64(), "audio": pa.binary()}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})


# ---------------------------------------------------------------------------------------------------------------- fast


def fast(arguments: argparse.Namespace) -> None:
    """How far exact and fast mode lie apart, and labels that flip (published weights: PARLER_WEIGHTS)."""
    with tempfile.TemporaryDirectory() as folder:
        if "PARLER_WEIGHTS" not in os.environ:
            print("random weights: networks that hear nothing; published ones vary less within a clip")
            write_weights(Path(folder))
        files = spoken(arguments.clips, arguments.seconds)
        texts = [TEXT] * len(files)
        exact, quick = (annotate([decode(file) for file in files], texts, chosen) for chosen in (EXACT, FAST))
        print(f"{len(files)} clips of speech, {sum(decode(file).seconds for file in files):.0f} s")
        thinned(files)
        for era, name in (("a", "v01_2024_04"), ("b", "v02")):
            facts = edges_and_labels(Binning(edges=name), era, [])
            one, other = bin_table(exact, facts).to_pylist(), bin_table(quick, facts).to_pylist()
            pairs = {f"snr_{era}": "noise", f"c50_{era}": "reverberation", "utterance_pitch_std": "speech_monotony"}
            for column, label in (pairs | {f"speaking_rate_{era}": "speaking_rate"}).items():
                key = next(attribute.edges for attribute in ATTRIBUTES if attribute.output == label)
                print(f"  {name}: {flips(one, other, column, label, float(np.median(np.diff(facts['edges'][key]))))}")


def thinned(files: list[bytes]) -> None:
    """What every fourth frame alone does to monotony, on pitch that is really heard: Praat's, needing no weights."""
    from parler_assets.speech.annotation.penn import FAST, interpolated
    from parler_assets.speech.annotation.praat import Praat

    facts, praat = edges_and_labels(Binning(edges="v01_2024_04"), "a", []), Praat()
    edges, labels = facts["edges"]["speech_monotony"], facts["labels"]["speech_monotony"]
    tracks = [praat.track(decode(file).at(16000)) for file in files]
    tracks = [interpolated(np.maximum(track, 1.0), (track > 0).astype(float)) for track in tracks if track.any()]
    every = np.array([track.std(ddof=1) for track in tracks])
    some = np.array([track[::FAST].std(ddof=1) for track in tracks])
    moved = np.abs(every - some) / np.median(np.diff(edges))
    one, other = label_values(every, edges, labels), label_values(some, edges, labels)
    flipped = sum(a != b for a, b in zip(one, other, strict=True))
    print(
        f"  Praat's pitch, every fourth frame: in bins {np.median(moved):.3f} (95 %: {np.percentile(moved, 95):.3f}), "
        f"speech_monotony {flipped} of {len(every)} labels flipped ({len(set(one))} labels in use)"
    )


def flips(one: list[dict], other: list[dict], column: str, label: str, width: float) -> str:
    """How far values lie apart, in bins (a clip flips about as often as it moves, in bins), and labels that flipped."""
    values = [(a[column], b[column]) for a, b in zip(one, other, strict=True)]
    differences = [abs(a - b) for a, b in values if a is not None and b is not None]
    flipped = sum(a[label] != b[label] for a, b in zip(one, other, strict=True))
    labels = len({row[label] for row in one})
    apart = "no values"
    if differences:
        half, most, all_of_them = np.percentile(differences, (50, 95, 100)) / width
        apart = f"{np.mean(differences):.3f} apart; in bins {half:.3f} (95 %: {most:.3f}, most: {all_of_them:.3f})"
    return f"{column} {apart}, {label} {flipped} of {len(one)} labels flipped ({labels} labels in use)"


def spoken(count: int, seconds: float) -> list[bytes]:
    """Files of synthesized speech in rooms and noise, each at least `seconds` long."""
    from parler_assets.sample.espeak import RATE
    from parler_assets.sample.plan import PLANS, render

    sounds = iter(render(PLANS["generic"](count * (1 + int(seconds / 2)), seed=3)))
    files = []
    for _ in range(count):
        parts = [next(sounds)]
        while sum(map(len, parts)) < seconds * RATE:
            parts.append(next(sounds))
        files.append(encode(np.concatenate(parts), RATE))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "fast"))
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0, help="mean length of a clip")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads[0])
    {"speed": speed, "memory": memory, "fast": fast}[arguments.what](arguments)


if __name__ == "__main__":
    main()
