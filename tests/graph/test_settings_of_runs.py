"""What is typed in the Launchpad leaves a trace: a table on the page, a warning, and checks that judge by it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from parler_assets import storage
from parler_assets.checks.check import Check, Made, as_recipe, made_last
from parler_assets.checks.corpus import Folder, bin_checks, describable_checks, written_checks
from parler_assets.definitions import definitions_of
from parler_assets.pages.settings import as_made, differences, settings_in, settings_table
from parler_assets.recipe import load_recipe
from parler_assets.resources.settings import settings_resource
from parler_assets.resources.workspace import workspace_of

SAMPLE = load_recipe("sample")
ASSET = dg.AssetKey(["studio", "text_bins"])
TYPED = [
    ("binning", {"edges": "v02"}, 'binning.edges "v02", in the recipe "estimated"'),
    ("annotation", {"pitch": "penn"}, 'annotation.pitch "penn", in the recipe "praat"'),
    ("describing", {"captions": ["situational"]}, 'describing.captions ["situational"]'),
    ("describing", {"max_rejected": 0.25}, "describing.max_rejected 0.25, in the recipe 0.5"),
    ("coding", {"batch_seconds": 7.0}, "coding.batch_seconds 7.0"),
    ("training", {"adam_epsilon": "1e-7"}, "training.adam_epsilon 1e-07"),
    ("training", {"lora": {"rank": 3}}, 'training.lora {"rank": 3'),
    ("training", {"max_train_clips": 9}, "training.max_train_clips 9, in the recipe null"),
    ("evaluation", {"precision": "float32"}, 'evaluation.precision "float32", in the recipe "auto"'),
    ("evaluation", {"recognised": None}, "evaluation.recognised null"),
]


def typed(section: str, values: dict):
    """A section as it is where some of its values were typed in the Launchpad."""
    return type(settings_resource(getattr(SAMPLE, section)))(**values).settings()


@pytest.mark.parametrize(("section", "values", "told"), TYPED)
def test_what_was_typed_stands_first_in_the_table_and_is_read_from_it(section: str, values: dict, told: str):
    chosen = typed(section, values)
    table = settings_table(SAMPLE, chosen)
    marked = [record.data["setting"] for record in table["settings"].records if record.data["recipe"]]
    assert marked == [f"{section}.{key}" for key in values]
    assert table["settings"].records[0].data["setting"] == marked[0]
    found = settings_in(table)
    assert getattr(as_made(SAMPLE, found), section) == chosen
    (difference,) = differences(SAMPLE, found)
    assert difference.startswith(told)


def test_settings_of_before_are_no_obstacle():
    """Keys that recipes have no more, values that they do not allow any more, and pages without a table."""
    gone = {"binning.sharpness": 3, "nothing.at_all": 1}
    assert as_made(SAMPLE, gone) == as_made(SAMPLE, {"training.learning_rate": -1.0}) == SAMPLE
    assert len(differences(SAMPLE, gone)) == 2
    assert settings_in({}) == settings_in({"settings": dg.MetadataValue.text("else")}) == {}


@pytest.mark.parametrize("name", ["sample", "expresso"])
def test_every_asset_with_settings_is_asked_whether_they_were_the_recipes(name: str):
    graph = definitions_of(load_recipe(name)).resolve_asset_graph()
    asked = {key.asset_key for key in graph.asset_check_keys if key.name == "as_recipe"}
    without = {key.path[-1] for key in graph.materializable_asset_keys - asked}
    assert without == {"base_checkpoint", "raw_dataset", "llm_descriptions"}  # the latter of lanes as published
    assert not any(graph.get(key).blocking for key in graph.asset_check_keys if key.name == "as_recipe")


def made_with(*sections) -> Made:
    """The asset as its checks find it after a run with these sections, whatever their own run was given."""
    with dg.DagsterInstance.ephemeral() as instance:
        page = settings_table(SAMPLE, *sections)
        instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, metadata=page))
        return made_last(instance, ASSET, workspace_of("sample"), SAMPLE)


def stage(folder: Path, columns: dict[str, list], **facts) -> Folder:
    storage.build(folder, folder.name, 1, lambda _: storage.Part(pa.table(columns)), facts=lambda: facts)
    return lambda made: folder


def told(checks: list[Check], name: str, made: Made) -> str | None:
    """What a check says; None where it passes."""
    (check,) = [check for check in checks if check.name == name]
    result = check.result(ASSET, made)
    return None if result.passed else result.description


def test_bins_are_judged_by_the_edges_of_their_run(tmp_path: Path):
    bins = stage(tmp_path / "bins", {"pitch": ["low"] * 9 + ["high"]}, labels={"pitch": ["low", "high"]})
    checks = bin_checks(bins, bins)
    as_in_recipe, other = (
        told(checks, "edges_suit", made_with(*of)) for of in ((), [typed("binning", {"edges": "v02"})])
    )
    assert "lower binning.tolerances" in as_in_recipe
    assert "lower binning.tolerances" not in other
    assert other.endswith('in the recipe "estimated": materialize studio/text_bins without that, or change the recipe)')


def test_descriptions_are_judged_by_the_captions_prompt_and_limit_of_their_run(tmp_path: Path):
    raw = stage(tmp_path / "raw", {"id": ["one"], "speaker": ["Jerry"], "style": ["happy"]})
    texts = stage(tmp_path / "texts", {"id": ["one"], "description": ["A man speaks."]}, rejection_rate=0.4, reasons={})
    checks = written_checks(texts, raw, raw, SAMPLE.corpora["studio"])
    assert "do not name their speaker" in told(checks, "names_speaker", made_with())
    for unnamed in ({"captions": ["situational"]}, {"prompt": "generic_v01"}):
        assert told(checks, "names_speaker", made_with(typed("describing", unnamed))) is None
    assert told(checks, "few_rejected", made_with()) is None
    assert "limit 30%" in told(checks, "few_rejected", made_with(typed("describing", {"max_rejected": 0.3})))


def test_styles_and_speakers_are_judged_by_the_prompt_of_the_run(tmp_path: Path):
    raw = stage(tmp_path / "raw", {"id": ["one", "two"], "speaker": [None, None], "style": ["happy", "sad"]})
    checks = describable_checks(raw, limit=0)
    assert "2 of 2 clips cannot be described" in told(checks, "describable", made_with())
    assert told(checks, "describable", made_with(typed("describing", {"prompt": "generic_v01"}))) is None


@pytest.mark.parametrize("others", [1, 2])
def test_the_warning_names_every_difference_and_its_remedy(others: int):
    typed_in = [typed("binning", {"edges": "v02"}), typed("annotation", {"pitch": "penn"})][:others]
    (description,) = [as_recipe(ASSET).result(ASSET, made_with(*typed_in)).description]
    assert description.count("materialize studio/text_bins again, or write that value into the recipe") == others
    assert as_recipe(ASSET).result(ASSET, made_with(SAMPLE.binning)).passed
