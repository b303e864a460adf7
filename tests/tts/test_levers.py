"""What the benchmark of training takes away in turn is there to be taken away."""

from __future__ import annotations

import pytest

from benchmarks.training_levers import LEVERS
from parler_assets.recipe import Training


@pytest.mark.parametrize("name", LEVERS)
def test_every_lever_replaces_what_the_code_has(name: str):
    lever = LEVERS[name]
    assert set(lever.changes) <= set(Training.model_fields)
    with lever.replace():
        pass
