"""A recipe is checked completely at load, and its errors name the key and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from parler_assets import recipe as recipe_package
from parler_assets.recipe import SHIPPED, Base, RecipeError, digest, load_recipe

MINIMAL = {
    "name": "mine",
    "corpora": {"voices": {"source": {"kind": "synthetic", "voices": "named", "clips": 4}}},
    "evaluation": {"speakers": ["Jerry"], "styles": ["happy"]},
}


def written(tmp_path, content) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def changed(**sections) -> dict:
    return MINIMAL | sections


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load(name):
    assert load_recipe(name).name == name


def test_reference_run_has_the_published_values():
    recipe = load_recipe("expresso")
    training = recipe.training
    assert list(recipe.corpora) == ["expresso", "jenny", "libritts_clean", "libritts_other"]
    assert recipe.corpora["jenny"].source.split == "train[:20%]"
    assert recipe.corpora["expresso"].speaker_names == {
        "ex01": "Jerry",
        "ex02": "Elisabeth",
        "ex03": "Thomas",
        "ex04": "Talia",
    }
    assert (training.epochs, training.learning_rate, training.warmup_steps) == (8, 8e-5, 250)
    assert (training.batch_size, training.effective_batch_size, training.seed) == (16, 128, 456)
    assert (training.adam_beta1, training.adam_beta2, training.weight_decay) == (0.9, 0.99, 0.01)
    assert (training.min_seconds, training.max_seconds, training.max_text_length) == (2, 30, 400)
    assert (training.scheduler, training.precision, training.freeze_text_encoder) == (
        "cosine",
        "bfloat16",
        True,
    )
    assert recipe.describing.model == "mistralai/Mistral-7B-Instruct-v0.2"
    assert (recipe.annotation.era, recipe.binning.edges) == ("a", "v01_2024_04")


def test_the_reference_run_pins_what_it_names_or_says_that_no_commit_is_known():
    text = (Path(recipe_package.__file__).parent / "shipped" / "expresso.yaml").read_text()
    lines = [line.strip() for line in text.splitlines() if re.match(r" +(\w+_)?revision:", line)]
    pinned = [line for line in lines if re.fullmatch(r"\w+_revision: [0-9a-f]{40}", line)]
    assert len(pinned) == 3  # penn, Brouhaha, Whisper
    assert {line for line in lines if line not in pinned} == {"revision: main  # no commit is known"}
    named = re.findall(r"^ +(?:repo|model|recogniser|pitch|room): ", text, re.MULTILINE)
    assert len(lines) == len(named) == 12


@pytest.mark.parametrize(
    ("base", "terms"),
    [
        ({}, "Apache-2.0"),
        ({"repo": "a/b"}, "not stated"),
        ({"path": "c"}, "not stated"),
        ({"repo": "a/b", "licence": None}, "not stated"),
        ({"repo": "a/b", "license": ""}, "not stated"),
        ({"repo": "a/b", "licence": "MIT"}, "MIT"),
        ({"path": "c", "licence": "CC-BY-4.0"}, "CC-BY-4.0"),
        ({"licence": "CC0-1.0"}, "CC0-1.0"),
    ],
)
def test_a_base_has_the_licence_that_was_stated(base, terms):
    assert Base.model_validate(base).terms == terms


def test_environment_chooses_the_recipe(monkeypatch):
    monkeypatch.setenv("PARLER_RECIPE", "expresso")
    assert load_recipe().name == "expresso"
    monkeypatch.delenv("PARLER_RECIPE")
    assert load_recipe().name == "sample"


def test_paths_are_relative_to_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    recipe = load_recipe(written(tmp_path, changed(corpora={"mine": {"source": {"kind": "folder", "path": "clips"}}})))
    assert recipe.corpora["mine"].source.path == tmp_path / "clips"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(trainng={"epochs": 3}), "trainng: unknown key: did you mean training?"),
        (changed(training={"learning-rate": 1}), "unknown key: did you mean learning_rate?"),
        (changed(training={"lora": {"rnk": 4}}), "unknown key: did you mean rank?"),
        (changed(training={"variants": {"a": {"epoch": 1}}}), "unknown key: did you mean epochs?"),
        (changed(corpora={"mine": {"source": {"kind": "folder", "pth": "x"}}}), "unknown key: did you mean path?"),
        (changed(corpora={"mine": {"heldout": 1}}), "unknown key: did you mean held_out or held_out_ids?"),
        (changed(training={"xyzzy": 3}), "unknown key: remove it or correct its spelling"),
        (changed(training={"epochs": "many"}), "training.epochs"),
        (changed(training={"learning_rate": "8e-5x"}), "training.learning_rate"),
        (changed(training={"min_seconds": 5, "max_seconds": 2}), "min_seconds must be below max_seconds"),
        (changed(training={"effective_batch_size": 100}), "multiple of batch_size"),
        (changed(binning={"edges": "v03"}), "'v03' is neither one of"),
        (changed(annotation={"era": "b"}), "set annotation.era to a"),
        (changed(binning={"edges": "v02"}), "set annotation.era to b"),
        (changed(describing={"engine": "vllm"}), "needs describing.model"),
        (changed(describing={"engine": "server", "model": "m"}), "needs describing.url"),
        (changed(base={"repo": "a/b", "path": "c"}), "either repo or path"),
        (changed(corpora={}), "corpora"),
        (changed(corpora={"Two words": MINIMAL["corpora"]["voices"]}), "lower-case identifier"),
        (
            changed(corpora={"c": {"source": {"kind": "hub", "repo": "no-owner"}}}),
            "corpora.c.source.hub.repo",
        ),
        (changed(corpora={"c": {"source": {"kind": "tape"}}}), "corpora.c.source"),
        (
            changed(corpora={"c": MINIMAL["corpora"]["voices"] | {"descriptions": {"kind": "published"}}}),
            "needs descriptions.repo or descriptions.path",
        ),
        ({k: v for k, v in MINIMAL.items() if k != "evaluation"}, "evaluation: required"),
        ("- just\n- a list", "mapping of sections"),
        ("name: [unclosed", "not valid YAML"),
    ],
)
def test_errors_name_the_key_and_the_remedy(tmp_path, content, said):
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, content))
    assert said in str(caught.value)
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "said"), [("exprezzo", "did you mean expresso"), ("mine", "give one of sample, expresso")]
)
def test_an_unknown_recipe_is_told_the_nearest_or_all_that_exist(written: str, said: str):
    with pytest.raises(RecipeError, match=said):
        load_recipe(written)


def test_digest_follows_the_section_alone():
    sample = load_recipe("sample")
    other = sample.training.model_copy(update={"epochs": 9})
    assert digest(sample.training) == digest(load_recipe("sample").training)
    assert digest(sample.training) != digest(other)


def test_licence_is_read_in_either_spelling_and_not_in_both():
    assert Base.model_validate({"license": "MIT"}).licence == "MIT"
    assert Base.model_validate({"license": "MIT"}) == Base(licence="MIT")
    with pytest.raises(ValidationError, match="same key"):
        Base.model_validate({"license": "MIT", "licence": "MIT"})
