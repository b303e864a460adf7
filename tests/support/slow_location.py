"""A code location whose assets take seconds, for tests that kill what computes them: our shards and our GPU pool.

And one whose assets take nothing, for the test in which our own sensor and schedule start a run by themselves.

Every shard leaves a file named after it with the ids of the step's process and of its run's: a test knows whom to kill,
and who made what.
"""

import os
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa

from parler_assets import automation, storage
from parler_assets.assets.corpus import hub_dataset
from parler_assets.recipe import HubSource, load_recipe
from parler_assets.storage import Part

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

    result = storage.build(FOLDER / name, "f", SHARDS, make)
    return dg.MaterializeResult(metadata={"reused": result.reused}, data_version=dg.DataVersion(result.digest))


@dg.asset(pool="gpu")
def on_gpu(config: Place) -> dg.MaterializeResult:
    return build(config.name)


@dg.asset
def shared() -> dg.MaterializeResult:
    return build("shared")


@dg.asset(key_prefix="expresso", deps=[["expresso", "hub_dataset"]])
def raw_dataset() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("clips"))


@dg.asset(key_prefix="expresso")
def elsewhere() -> dg.MaterializeResult:
    """Depends on nothing that the Hub has."""
    return dg.MaterializeResult(data_version=dg.DataVersion("other"))


recipe = load_recipe("expresso")
published = recipe.corpora["expresso"]
assert isinstance(published.source, HubSource)
slow = dg.define_asset_job("slow", [on_gpu])
both = dg.define_asset_job("both", [shared])
everything = dg.define_asset_job("everything", [raw_dataset, elsewhere])
defs = dg.Definitions(
    assets=[on_gpu, shared, hub_dataset("expresso", published.source, recipe), raw_dataset, elsewhere],
    jobs=[slow, both, everything],
    schedules=automation.schedules(everything, nightly="* * * * *"),
    sensors=[automation.hub_revisions(recipe.model_copy(update={"corpora": {"expresso": published}}))],
)
