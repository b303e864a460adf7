"""What it costs to check that stored rows are those that were written.

    python benchmarks/checks.py --rows 1000000

A stage of codes (360 a clip, 2,000 clips a shard) is found finished, every byte of it checked; then one column of it is
read with and without the check. Printed: seconds of CPU and of wall time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from parler_assets import storage
from parler_assets.storage import Part, files

SHARD, CODES = 2000, 360


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    random = np.random.default_rng(0)

    def make(index: int) -> Part:
        codes = [random.integers(0, 1024, CODES, dtype=np.uint16) for _ in range(SHARD)]
        return Part(pa.table({"id": [f"{index}-{row}" for row in range(SHARD)], "codes": codes}))

    with tempfile.TemporaryDirectory() as name:
        folder, parts = Path(name), rows // SHARD
        manifest = storage.build(folder, "f", parts, make).manifest
        size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        print(f"{rows:,} rows, {parts} shards, {size / 1e9:.2f} GB")
        for process in ("new", "same"):
            if process == "new":
                files._known.clear()
            timed(f"finished stage, {process} process", lambda: storage.build(folder, "f", parts, make))
        files._known.clear()
        for what in ("a column, checked", "a column again, no check"):
            timed(what, lambda: [storage.read_shard(folder, shard, ["id"]) for shard in manifest.shards])


def timed(what: str, do: Callable[[], object]) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    do()
    print(f"{what}: {time.process_time() - cpu:.2f} s of CPU, {time.perf_counter() - wall:.2f} s", file=sys.stdout)


if __name__ == "__main__":
    main()
