"""The reference recipe in the real UI, with a stand-in Hub: its lineage, and the sensor of Hub revisions at work."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from tests.support.browser import NEEDED, page, visit, window
from tests.support.server import Server, dagster_dev, until
from tests.support.standin_hub import Repository, StandinHub, standin_hub

CORPORA = ("expresso", "jenny", "libritts_clean", "libritts_other")
SETS = {"expresso": "ylacombe/expresso", "jenny": "reach-vb/jenny_tts_dataset"}
pytestmark = NEEDED
__all__ = ["page", "window"]


@pytest.fixture(scope="module")
def hub() -> Iterator[StandinHub]:
    with standin_hub() as hub:
        for repo in SETS.values():
            hub.repositories[f"datasets/{repo}"] = Repository()
            hub.repositories[f"datasets/{repo}"].commit("first")
        yield hub


@pytest.fixture(scope="module")
def server(hub: StandinHub, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("expresso")
    with dagster_dev("expresso", folder / "home", folder / "data", HF_ENDPOINT=hub.url) as server:
        yield server


def test_lineage_shows_how_four_corpora_join(page, server: Server):
    groups = ",".join(f"global%40global%3A{group}" for group in (*CORPORA, "base", "training", "evaluation"))
    visit(page, server, f"/asset-groups?expanded={groups}", "training_set")
    for text in (*CORPORA, "hub_dataset", "continuous_tags", "llm_descriptions", "dac_codes", "scorecard"):
        assert page.get_by_text(text).first.is_visible()


def test_the_sensor_is_switched_on_and_reports_the_commit_of_every_set(page, server: Server, hub: StandinHub):
    visit(page, server, "/locations/parler_assets/sensors/hub_revisions", "Sensor has never run")
    toggle = page.locator("input[type=checkbox]").first
    toggle.wait_for(state="attached")
    toggle.evaluate("box => box.click()")
    commits = {name: hub.repositories[f"datasets/{repo}"].commits[-1] for name, repo in SETS.items()}
    with dg.DagsterInstance.from_config(str(server.home)) as instance:
        keys = {name: dg.AssetKey([name, "hub_dataset"]) for name in SETS}
        events = {
            n: until(lambda key=key: instance.get_latest_materialization_event(key), 120) for n, key in keys.items()
        }
    assert {n: event.asset_materialization.tags["dagster/data_version"] for n, event in events.items()} == commits
    visit(page, server, "/assets/expresso/hub_dataset", commits["expresso"])
