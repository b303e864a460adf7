"""The asset graph of both shipped recipes: its shape, its documentation, what makes which asset stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from parler_assets.definitions import definitions_of
from parler_assets.recipe import Lora, Operations, Recipe, load_recipe
from parler_assets.resources.settings import offered, settings_resource
from tests.support.graph import described

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
ROOT = Path(__file__).parents[2]
SHIPPED = ("sample", "expresso")


def keys(recipe: Recipe) -> set[str]:
    return {key.to_user_string() for key in definitions_of(recipe).resolve_asset_graph().get_all_asset_keys()}


def versions(recipe: Recipe) -> dict[str, str | None]:
    graph = definitions_of(recipe).resolve_asset_graph()
    return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}


def changed(recipe: Recipe, **sections: dict) -> set[str]:
    """Assets that are stale after the recipe's sections are updated."""
    content = recipe.model_dump(mode="json")
    for name, values in sections.items():
        content[name] |= values
    before, after = versions(recipe), versions(Recipe.model_validate(content))
    return {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_graph_is_the_reviewed_one(name: str):
    """A change of the graph shows as a diff of the snapshot; PARLER_SNAPSHOTS=write accepts it."""
    found = described(definitions_of(load_recipe(name)))
    file = SNAPSHOTS / f"{name}.json"
    if os.environ.get("PARLER_SNAPSHOTS") == "write":
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_asset_is_documented_owned_by_whom_the_recipe_names_and_not_partitioned(name: str):
    owners = ["ann.oneil@example.org", "team:voices"]
    recipe = load_recipe(name).model_copy(update={"operations": Operations(owners=owners)})
    graph = definitions_of(recipe).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 30, key
        assert list(node.owners) == owners, key
        assert node.partitions_def is None, key
        assert node.code_version or node.is_external, key


@pytest.mark.parametrize("name", SHIPPED)
def test_nobody_is_invented_and_nothing_is_overdue_unless_a_recipe_says_so(name: str):
    recipe = load_recipe(name)
    watched = recipe.model_copy(update={"operations": Operations(fresh_days=8)})
    for given, expected in ((recipe, set()), (watched, {"scorecard"})):
        graph = definitions_of(given).resolve_asset_graph()
        keys = graph.get_all_asset_keys()
        assert {key.to_user_string() for key in keys if graph.get(key).freshness_policy} == expected
        assert not any(graph.get(key).owners for key in keys)


@pytest.mark.parametrize("owner", ["", "ann", "team:", "team: speech", "ann@example", "a@ex.org, b@ex.org"])
def test_an_owner_that_dagster_would_not_take_is_refused_in_the_recipe(owner: str):
    with pytest.raises(ValidationError, match="write an e-mail address, or a team as team:NAME"):
        Operations(owners=["team:speech", owner])


def test_published_lanes_have_no_tags_and_only_hub_lanes_a_hub_dataset():
    sample, expresso = (keys(load_recipe(name)) for name in SHIPPED)
    assert "field/llm_descriptions" in sample
    assert not {"field/continuous_tags", "field/text_bins", "studio/hub_dataset"} & sample
    assert {"expresso/hub_dataset", "expresso/text_bins", "jenny/hub_dataset"} <= expresso
    assert "jenny/continuous_tags" not in expresso


def test_estimated_edges_hang_on_the_tags_of_every_written_lane():
    content = load_recipe("sample").model_dump(mode="json")
    content["corpora"]["second"] = content["corpora"]["studio"]
    for edges, expected in (("estimated", {"studio", "second"}), ("v01", {"second"})):
        content["binning"]["edges"] = edges
        graph = definitions_of(Recipe.model_validate(content)).resolve_asset_graph()
        parents = graph.get(dg.AssetKey(["second", "text_bins"])).parent_keys
        assert {key.path[0] for key in parents} == expected


def test_a_prompt_edit_makes_exactly_the_descriptions_stale():
    assert changed(load_recipe("sample"), describing={"prompt": "named_v01"}) == {"studio/llm_descriptions"}


@pytest.mark.parametrize(
    ("section", "values", "stale"),
    [
        ("training", {"learning_rate": 0.0001}, {"finetuned_checkpoint"}),
        ("training", {"min_seconds": 1.0}, {"training_set"}),
        ("binning", {"labels": "v02"}, {"studio/text_bins"}),
        ("coding", {"batch_seconds": 60}, {"studio/dac_codes", "field/dac_codes"}),
        ("shards", {"rows": 32}, {"studio/raw_dataset", "field/raw_dataset"}),
    ],
)
def test_a_setting_makes_stale_what_obeys_it(section: str, values: dict, stale: set[str]):
    assert stale <= changed(load_recipe("sample"), **{section: values})
    assert not {"base_checkpoint", "training_set"} & (changed(load_recipe("sample"), **{section: values}) - stale)


def test_the_launchpad_has_the_recipes_values_and_documents_them():
    recipe = load_recipe("expresso")
    trainer = settings_resource(recipe.training)
    assert trainer.settings() == recipe.training
    assert type(trainer).model_fields["learning_rate"].default == 0.00008
    for name, field in offered(recipe.training).items():
        assert type(trainer).model_fields[name].description == field.description


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_the_launchpad_shows_is_one_that_yaml_reads(name: str):
    """JavaScript writes 0.00000001 as 1e-8, which YAML reads as text: one such default and nothing can be launched."""
    for key, resource in (definitions_of(load_recipe(name)).resources or {}).items():
        for field, shown in type(resource).model_fields.items():
            value = shown.default
            assert not (isinstance(value, float) and 0 < abs(value) < 1e-6), f"{key}.{field}"


def test_a_value_typed_in_the_launchpad_is_checked_like_the_recipe():
    trainer = settings_resource(load_recipe("sample").training)
    assert type(trainer)(learning_rate=0.001).settings().learning_rate == 0.001
    with pytest.raises(ValidationError, match="learning_rate"):
        type(trainer)(learning_rate=-1.0).settings()


def test_adapters_are_switched_on_in_the_launchpad_and_documented_there():
    trainer = type(settings_resource(load_recipe("sample").training))
    assert trainer().settings().lora is None
    assert trainer(lora={"rank": 8}).settings().lora == Lora(rank=8)
    with pytest.raises(ValidationError, match="rank"):
        trainer(lora={"rank": 0}).settings()
    field = trainer.to_config_schema().as_field().config_type.fields["lora"]
    assert field.config_type.inner_type.fields["rank"].description
    kept = settings_resource(load_recipe("sample").training.model_copy(update={"lora": Lora(rank=4)}))
    assert kept.settings().lora == Lora(rank=4)
    assert type(kept)(lora=None).settings().lora is None


def test_dagster_finds_the_project_through_workspace_yaml(tmp_path: Path):
    command = [str(Path(sys.executable).with_name("dagster")), "definitions", "validate", "-w", "workspace.yaml"]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_broken_recipe_says_what_to_do(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("name: mine\nevaluation: {speakers: [Ann], styles: [default]}\nlearnrate: 1\n")
    environment = {**os.environ, "PARLER_RECIPE": str(tmp_path / "mine.yaml")}
    command = [sys.executable, "-c", "import parler_assets.definitions"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "corpora: required: add it" in done.stderr
    assert "learnrate: unknown key" in done.stderr
