"""Every kind of file that a finished workspace stores is flipped, cut and deleted: an ordinary run makes good what was
hit, gives what it gave before, and computes nothing else again.

The files are found by walking, so that a kind that is added tomorrow is tried too. What Dagster and MLflow keep is left
to their own tests; `benchmarks/faults.py` puts one fault at a time.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from parler_assets.tts.base import checkpoint_damage
from parler_assets.tts.training import launch, states
from tests.graph.test_pipeline import Graph
from tests.support.stored_files import DAMAGES, contents, kind_of, kinds, remade, rounds, stamps, walk
from tests.support.tiny import write_tiny_recipe
from tests.support.trainings import in_this_process, one_thread

__all__ = ["one_thread"]

pytestmark = pytest.mark.timeout(300)
LEFT_OUT = re.compile(r"mlflow|\.lock$|training\.log$")
ROUNDS = 6
QUIET = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "ERROR"}}
TRAINING, FIRST_STATE = "finetuned_checkpoint/", "checkpoints/step-00000002/"


@dataclass
class Finished:
    """A finished workspace that is put back as it was whenever a run did not mend it."""

    graph: Graph
    copy: Path
    contents: dict[str, str]
    rounds: list[dict[str, str]]

    def put_back(self) -> None:
        shutil.rmtree(self.graph.data)
        shutil.copytree(self.copy, self.graph.data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("stored")
    recipe = write_tiny_recipe(folder)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.local_temp(str(folder), QUIET) as instance:
        patch.setenv("PARLER_DATA", str(folder / "data"))
        patch.setenv("PARLER_RECIPE", str(recipe))
        patch.setattr(launch, "_process", in_this_process)
        graph = Graph(recipe, folder / "data" / "tiny", instance)
        assert graph.run().success
        shutil.copytree(graph.data, folder / "copy")
        hits = rounds(graph.data, ("flip", "cut", "delete"), LEFT_OUT)
        yield Finished(graph, folder / "copy", contents(graph.data), hits)


def test_every_kind_meets_every_damage(finished: Finished):
    met = [(kind_of(name), damage) for hits in finished.rounds for name, damage in hits.items()]
    walked = [kind for kind in kinds(finished.graph.data) if not LEFT_OUT.search(kind)]
    assert len(finished.rounds) == ROUNDS
    assert len(set(met)) == len(met) == 3 * len(walked) > 150


@pytest.mark.parametrize("number", range(ROUNDS))
def test_damage_is_mended_at_the_price_of_what_it_hit(finished: Finished, number: int):
    finished.put_back()
    root, hits = finished.graph.data, finished.rounds[number]
    before = stamps(root)
    for name, damage in hits.items():
        DAMAGES[damage](root / name)
    ran = finished.graph.run()
    assert {
        event.step_key: event.step_failure_data.error.to_string() for event in ran.all_events if event.is_step_failure
    } == {}
    found = contents(root)
    assert {name: found.get(name) for name in finished.contents} == finished.contents
    anew = remade(before, stamps(root), hits)
    assert [name for name in anew if not resumed(name)] == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_file_of_a_checkpoint_is_damaged_unnoticed(finished: Finished, tmp_path: Path, damage: str):
    """One by one: the rounds hit several of them at once."""
    for part, problem in (("checkpoint", checkpoint_damage), ("checkpoints/step-00000004", states.damage)):
        whole = finished.copy / TRAINING / part
        for name in walk(whole):
            hit = shutil.copytree(whole, tmp_path / damage / part / name)
            DAMAGES[damage](hit / name)
            assert problem(hit) or (name, damage) == ("manifest.json", "delete")


def resumed(name: str) -> bool:
    """Written by a training that went on at its first state, as it must where its result and its last state are hit."""
    return name.startswith(TRAINING) and FIRST_STATE not in name
