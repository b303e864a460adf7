"""The graph's own cost: loading the definitions, a step, and rows through the stages that compute little.

    python benchmarks/scale.py --rows 1000 10000 100000 1000000

Every stage runs in a process of its own, so that its peak memory is its own. Clips are 80 ms of noise; tags and codes
are made up, since their cost is the networks' and is measured in `annotation.py`. Printed: seconds of CPU (imports
included), rows a second of CPU, seconds passed and the peak memory of each stage. `--keep FOLDER` leaves the data there
and skips the stages that are finished in it: a run of a million rows may be cut off.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "ERROR"}}
STAGES = ("raw_dataset", "tags and codes (made up)", "text_bins", "llm_descriptions", "training_set")
SHARD, KINDS, SPEAKERS, STYLES = 2000, 64, ("Jerry", "Talia"), ("happy", "sad", "default")


class Noise:
    """A source of any number of tiny clips, for `store_clips`."""

    def __init__(self, rows: int) -> None:
        import numpy as np
        import soundfile

        self.rows, self.fingerprint, self.sounds = rows, f"noise-{rows}", []
        for seed in range(KINDS):
            file = io.BytesIO()
            soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, 1280), 16000, format="WAV")
            self.sounds.append(file.getvalue())

    def ids(self) -> list[str]:
        return [f"clip-{row:07d}" for row in range(self.rows)]

    def read(self, start: int, stop: int) -> Iterator:
        from parler_assets.speech.sources import RawClip

        for row in range(start, stop):
            speaker, style = SPEAKERS[row % 2], STYLES[row % 3]
            sound = self.sounds[row % KINDS]
            yield RawClip(f"clip-{row:07d}", sound, f"This is sentence number {row}.", speaker, style)


def raw_dataset(folder: Path, rows: int) -> None:
    from parler_assets.recipe import Corpus, Shards
    from parler_assets.speech.clips import store_clips

    source = {"kind": "folder", "path": str(folder)}
    corpus = Corpus.model_validate({"source": source, "genders": {"Jerry": "male", "Talia": "female"}})
    store_clips(Noise(rows), corpus, folder / "raw", Shards(rows=SHARD))


def made_up(folder: Path, rows: int) -> None:
    """Tags like those of speech, and codes of two frames, in the order of the clips."""
    import numpy as np
    import pyarrow as pa

    from parler_assets import storage
    from parler_assets.speech.annotation.stage import KEPT, MEASURED
    from parler_assets.speech.codec.encode import SCHEMA
    from parler_assets.tts.base import codebook_shape
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    write_tiny_checkpoint(folder / "base")
    codebooks, size = codebook_shape(folder / "base")

    def tags(table: pa.Table) -> storage.Part:
        random = np.random.default_rng(table.num_rows)
        columns = {name: table[name] for name in KEPT}
        for column in MEASURED:
            text = pa.types.is_string(column.type)
            values = [None] * table.num_rows if text else random.normal(20, 6, table.num_rows)
            columns[column.name] = pa.array(values, column.type)
        return storage.Part(pa.table(columns))

    def codes(table: pa.Table) -> storage.Part:
        random = np.random.default_rng(table.num_rows)
        found = [random.integers(0, size, codebooks * 2, np.uint16) for _ in range(table.num_rows)]
        count = table.num_rows
        values = [table["id"], found, [2] * count, [codebooks] * count, table["duration"]]
        return storage.Part(pa.table(dict(zip(SCHEMA.names, values, strict=True)), schema=SCHEMA))

    storage.map_shards(folder / "raw", folder / "tags", "made up", tags, columns=list(KEPT))
    storage.map_shards(folder / "raw", folder / "codes", "made up", codes, columns=["id", "duration"])


def text_bins(folder: Path, rows: int) -> None:
    from parler_assets.recipe import Annotation, Binning
    from parler_assets.speech.binning.bins import bin_corpus

    bin_corpus(folder / "tags", folder / "bins", Binning(edges="v01_2024_04", labels="v01"), Annotation(era="a"))


def llm_descriptions(folder: Path, rows: int) -> None:
    from parler_assets.recipe import Describing
    from parler_assets.speech.descriptions import describe_corpus

    describe_corpus(folder / "bins", folder / "descriptions", Describing(), folder / "cache")


def training_set(folder: Path, rows: int) -> None:
    from parler_assets.recipe import Training
    from parler_assets.tts.data import Lane, build_training_set

    lane = Lane("noise", folder / "raw", folder / "descriptions", folder / "codes", held_out=0.01, licence="CC0-1.0")
    build_training_set([lane], folder / "base", folder / "set", Training(min_seconds=0))


LAST = dict(zip(STAGES, ("raw", "codes", "bins", "descriptions", "set"), strict=True))  # a stage's last folder
WORK = dict(zip(STAGES, (raw_dataset, made_up, text_bins, llm_descriptions, training_set), strict=True))


def in_a_process(stage: str, folder: Path, rows: int) -> dict[str, float]:
    """Seconds and peak MiB of one stage, imports included."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--rows", str(rows)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{stage} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(stage: str, folder: Path, rows: int) -> None:
    started = time.perf_counter()
    WORK[stage](folder, rows)
    passed = time.perf_counter() - started
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": time.process_time(), "passed": passed, "mib": mib}))


def loading() -> tuple[float, ...]:
    """Seconds that a fresh process takes to load the definitions beyond importing Dagster, and in all; three times."""
    program = (
        "import time; a = time.perf_counter(); import dagster; b = time.perf_counter();"
        "from parler_assets.definitions import defs; defs.get_repository_def(); c = time.perf_counter();"
        "print(c - b, c - a)"
    )
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
        found.append(tuple(map(float, done.stdout.split())))
    return min(found)


def step_overhead() -> float:
    """Seconds that one asset more costs a run in this process, its body being empty."""
    import dagster as dg

    def seconds(count: int) -> float:
        def empty(name: str):
            return dg.asset(name=name)(lambda: dg.MaterializeResult(metadata={"rows": 1}))

        assets = [empty(f"empty_{index}") for index in range(count)]
        with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home, QUIET) as instance:
            started = time.perf_counter()
            assert dg.materialize(assets, instance=instance).success
            return time.perf_counter() - started

    seconds(1)
    return (seconds(21) - seconds(1)) / 20


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def curve(counts: list[int], keep: Path | None) -> None:
    print(f"{'rows':>9}  {'stage':<26}{'CPU s':>9}{'rows / s':>10}{'passed s':>10}{'peak MiB':>10}")
    for rows in counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder = keep / str(rows) if keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            for stage in STAGES:
                if (folder / LAST[stage] / "manifest.json").is_file():
                    print(f"{rows:>9}  {stage:<26} finished before", flush=True)
                    continue
                found = in_a_process(stage, folder, rows)
                numbers = (
                    f"{found['cpu']:>9.2f}{rows / found['cpu']:>10.0f}{found['passed']:>10.1f}{found['mib']:>10.0f}"
                )
                print(f"{rows:>9}  {stage:<26}{numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--keep", type=Path, help="keep the data in this folder and go on with it")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stage:
        measure(chosen.stage, chosen.folder, chosen.rows[0])
        return
    own, all_of_it = loading()
    print(f"definitions load in {own:.2f} s beyond `import dagster`, {all_of_it:.2f} s in all (best of 3)")
    print(f"an asset more costs a run in one process {step_overhead() * 1000:.0f} ms")
    curve(chosen.rows, chosen.keep)


if __name__ == "__main__":
    main()
