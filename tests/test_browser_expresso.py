"""The reference recipe in the real UI: four corpora of the Hub, drawn without the Hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import NEEDED, page, visit, window
from tests.server import Server, dagster_dev

CORPORA = ("expresso", "jenny", "libritts_clean", "libritts_other")
pytestmark = NEEDED
__all__ = ["page", "window"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("expresso")
    with dagster_dev("expresso", folder / "home", folder / "data") as server:
        yield server


def test_lineage_shows_how_four_corpora_join(page, server: Server):
    groups = ",".join(f"global%40global%3A{group}" for group in (*CORPORA, "base", "training", "evaluation"))
    visit(page, server, f"/asset-groups?expanded={groups}", "training_set")
    for text in (*CORPORA, "hub_dataset", "continuous_tags", "llm_descriptions", "dac_codes", "scorecard"):
        assert page.get_by_text(text).first.is_visible()
