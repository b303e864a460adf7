"""What a recipe names by a path lies beside the recipe, wherever it is used from, and counts by its content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from parler_assets.definitions import definitions_of
from parler_assets.recipe import Recipe, RecipeError, load_recipe
from parler_assets.recipe.layout import GROUPS, SHARED, STAGES
from parler_assets.recipe.places import is_folder
from parler_assets.recipe.speech import PROMPTS
from parler_assets.resources import workspace
from parler_assets.speech.descriptions.situations import SITUATIONS

VOICES = {"source": {"kind": "synthetic", "voices": "named", "clips": 4}}
EVALUATION = {"speakers": ["Jerry"], "styles": ["happy"]}
PUBLISHED = {"kind": "published", "path": "said.csv"}
# (place in the recipe, what is written there beside the path, asset that obeys the content)
PLACES = [
    (("binning", "edges"), {}, "voices/text_bins"),
    (("binning", "labels"), {}, "voices/text_bins"),
    (("describing", "prompt"), {}, "voices/llm_descriptions"),
    (("describing", "model"), {"engine": "transformers"}, "voices/llm_descriptions"),
    (("describing", "model"), {"engine": "vllm"}, "voices/llm_descriptions"),
    (("evaluation", "recogniser"), EVALUATION, "scorecard"),
    (("corpora", "voices", "held_out_ids"), VOICES, "training_set"),
    (("corpora", "voices", "descriptions", "path"), PUBLISHED, "voices/llm_descriptions"),
    (("corpora", "voices", "source", "metadata"), {"kind": "folder", "path": "clips"}, "voices/raw_dataset"),
]
IDS = [".".join(place) + str(beside.get("engine", "")) for place, beside, _ in PLACES]


def recipe_at(folder: Path, place: tuple[str, ...], beside: dict, value: str) -> Path:
    """A recipe in `folder` with `value` at `place`; a file, or a model's folder, lies there under every spelling."""
    content: dict = {"name": "mine", "corpora": {"voices": dict(VOICES)}, "evaluation": dict(EVALUATION)}
    section = content
    for key in place[:-1]:
        section[key] = dict(section.get(key, {}))
        section = section[key]
    section.clear() if place[-1] in ("path", "metadata") else None
    section |= {**beside, place[-1]: value}
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    return folder / "mine.yaml"


def write(folder: Path, place: tuple[str, ...], content: str) -> None:
    """What `place` names: `here/it`, a file or the folder of a model."""
    it = folder / "here" / "it"
    it.parent.mkdir(exist_ok=True, parents=True)
    if place[-1] in ("model", "recogniser"):
        it.mkdir(exist_ok=True)
        it = it / "config.json"
    it.write_text(content)


def found(recipe: Recipe, place: tuple[str, ...]) -> str:
    value = recipe.model_dump(mode="json")
    for key in place:
        value = value[key]
    return value


def version(recipe: Recipe, asset: str) -> str | None:
    graph = definitions_of(recipe).resolve_asset_graph()
    return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}[asset]


@pytest.mark.parametrize(("place", "beside", "asset"), PLACES, ids=IDS)
def test_a_path_is_found_beside_the_recipe_and_its_content_makes_stale(place, beside, asset, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    one, other = tmp_path / "one", tmp_path / "other"
    write(one, place, "{{ style }}")
    for value in ("here/it", "./here/it", "../one/here/it", str(one / "here" / "it")):
        loaded = load_recipe(recipe_at(one, place, beside, value))
        assert found(loaded, place) == str(one / "here" / "it")
    before = version(loaded, asset)
    if place[-1] != "metadata":  # a folder of recordings stays where it is
        shutil.copytree(one, other)
        moved = load_recipe(recipe_at(other, place, beside, "here/it"))
        assert version(moved, asset) == before  # wherever it lies
    write(one, place, "{{ name }}")
    assert version(load_recipe(recipe_at(one, place, beside, "here/it")), asset) != before


def test_a_path_of_home_is_that_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, ("binning", "edges"), "{}")
    loaded = load_recipe(recipe_at(tmp_path, ("binning", "edges"), {}, "~/here/it"))
    assert loaded.binning.edges == str(tmp_path / "here" / "it")


@pytest.mark.parametrize(
    ("place", "beside", "name"),
    [
        (("describing", "model"), {"engine": "vllm"}, "owner/model"),
        (("describing", "model"), {"engine": "transformers"}, "owner/model"),
        (("evaluation", "recogniser"), EVALUATION, "openai/whisper-tiny"),
        (("binning", "edges"), {}, "v01"),
        (("binning", "edges"), {}, "estimated"),
        (("binning", "labels"), {}, "v01"),
        (("describing", "prompt"), {}, "named_v01"),
    ],
)
def test_a_name_stays_a_name_whatever_lies_in_the_current_folder(place, beside, name, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load_recipe(recipe_at(tmp_path, place, beside, name))
    assert found(loaded, place) == name
    assert not is_folder(name)


def test_a_model_of_a_server_is_named_by_the_server(tmp_path):
    (tmp_path / "llama").mkdir()
    server = {"engine": "server", "url": "http://127.0.0.1:1/v1"}
    assert load_recipe(recipe_at(tmp_path, ("describing", "model"), server, "llama")).describing.model == "llama"


def test_a_speaker_may_be_called_as_a_setting_is(tmp_path):
    names = {"path": "Jerry", "metadata": "Talia", "model": "Ann", "held_out_ids": "Bob"}
    file = recipe_at(tmp_path, ("corpora", "voices", "spoken_form"), {**VOICES, "speaker_names": names}, True)
    assert load_recipe(file).corpora["voices"].speaker_names == names


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("binning", "edges"), "own.json", "edges: 'own.json' is neither one of v01_2024_04"),
        (("binning", "labels"), "own.json", "labels: 'own.json' is neither one of v01, v02 nor a file in"),
        (("describing", "prompt"), "exprezzo", "there is no 'exprezzo' in .*did you mean expresso"),
        (("describing", "prompt"), "own.txt", "or a template file"),
    ],
)
def test_a_file_of_the_current_folder_is_none_of_the_recipe(place, value, said, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / value).write_text("{}")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe_at(tmp_path, place, {}, value))


def test_the_recipe_knows_the_prompts_that_there_are():
    assert set(PROMPTS) == set(SITUATIONS)


def names_of_ours() -> set[str]:
    """Every group, asset and folder that a recipe's graph has beside its corpora."""
    content = load_recipe("expresso").model_dump(mode="json")
    content["training"]["variants"] = {"slow": {"learning_rate": 0.00001}}
    content["release"] = {"repo": "a/b", "licence": "MIT", "voice_consent": "signed by all"}
    graph = definitions_of(Recipe.model_validate(content)).resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    groups = {str(graph.get(key).group_name) for key in keys} - set(content["corpora"])
    return (
        groups
        | {key.path[-1] for key in keys}
        | {"comparisons", "kept_voices", "seeds", "cache", "mlflow_artifacts", "heard_transcripts"}
    )


def test_no_corpus_is_called_as_anything_of_ours(tmp_path):
    taken = names_of_ours()
    assert {*GROUPS, *STAGES, *SHARED, "cache"} == taken
    for name in sorted(taken | {"Scorecard", "RELEASE", "dac_Codes"}):
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({"name": "mine", "corpora": {name: VOICES}, "evaluation": EVALUATION}))
        with pytest.raises(RecipeError, match=rf"corpora.{name}: the name of a folder or asset of ours: call it"):
            load_recipe(file)


@pytest.mark.parametrize("names", [("Field", "field"), ("mine", "MINE"), ("a_b", "A_b")])
def test_two_corpora_are_never_one_folder(names, tmp_path):
    file = tmp_path / "mine.yaml"
    content = {"name": "mine", "corpora": dict.fromkeys(names, VOICES), "evaluation": EVALUATION}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match="differs only in case"):
        load_recipe(file)


def test_a_recipe_is_not_called_as_the_folder_of_all_recipes(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"name": "cache", "corpora": {"a": VOICES}, "evaluation": EVALUATION}))
    with pytest.raises(RecipeError, match="all recipes share"):
        load_recipe(file)


@pytest.mark.parametrize("named", ["lane", "shared"])
def test_a_folder_that_no_layout_names_is_not_made(named):
    place = workspace.Workspace(recipe="mine")
    with pytest.raises(KeyError, match=r"recipe\.layout"):
        place.lane("a", "new_stage") if named == "lane" else place.shared("new_stage")


@pytest.mark.parametrize("inside", ["lib/python3.12/site-packages", "dist-packages", "wheel.whl"])
def test_a_wheel_keeps_data_in_the_users_folder(inside, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    (tmp_path / inside).mkdir(parents=True)
    assert workspace.project_of(tmp_path / inside) == tmp_path / "share" / "parler_assets"


def test_a_checkout_keeps_data_beside_the_package():
    above = Path(workspace.__file__).resolve().parents[2]
    assert workspace.project_of(above) == workspace.PROJECT == above
    assert os.path.isfile(workspace.INSTANCE_SETTINGS)
