"""A code location whose assets take seconds, for tests that kill what computes them: our shards and our GPU pool.

Every shard leaves a file named after it with the ids of the step's process and of its run's: a test knows whom to kill,
and who made what.
"""

import os
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa

from parler_assets.speech import shards
from parler_assets.speech.shards import Part

SHARDS, SECONDS = 12, 0.3
FOLDER = Path(os.environ.get("SLOW_FOLDER", "."))


class Place(dg.Config):
    name: str = "stage"


def build(name: str) -> dg.MaterializeResult:
    makers = FOLDER / name / "makers"
    makers.mkdir(parents=True, exist_ok=True)

    def make(index: int) -> Part:
        time.sleep(SECONDS)
        (makers / str(index)).write_text(f"{os.getpid()} {os.getppid()}")
        return Part(pa.table({"id": [str(index)]}))

    result = shards.build(FOLDER / name, "f", SHARDS, make)
    return dg.MaterializeResult(metadata={"reused": result.reused}, data_version=dg.DataVersion(result.digest))


@dg.asset(pool="gpu")
def on_gpu(config: Place) -> dg.MaterializeResult:
    return build(config.name)


@dg.asset
def shared() -> dg.MaterializeResult:
    return build("shared")


slow = dg.define_asset_job("slow", [on_gpu])
both = dg.define_asset_job("both", [shared])
defs = dg.Definitions(assets=[on_gpu, shared], jobs=[slow, both])
