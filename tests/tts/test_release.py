"""Publishing to a stand-in Hub over real HTTP: one commit, resumed when cut off, refused when something forbids it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parler_assets import storage
from parler_assets.recipe import Base, Release, load_recipe
from parler_assets.tts.base import checkpoint_digest
from parler_assets.tts.release.cards import data_card, model_card
from parler_assets.tts.release.hub import HubError, Push
from parler_assets.tts.release.licences import licence_problems
from parler_assets.tts.release.publish import Lineage, refusals
from tests.support.standin_hub import StandinHub, standin_hub
from tests.support.trainings import write_base, write_set

TOKEN = "hf_canary_9f2c"


@pytest.fixture
def hub(monkeypatch) -> Iterator[StandinHub]:
    with standin_hub(TOKEN) as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def files(folder: Path) -> dict[str, Path]:
    """Two large files and a small one."""
    contents = {"model.safetensors": b"weights" * 1000, "part.parquet": b"rows" * 1000, "config.json": b"{}"}
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def test_files_arrive_whole_in_one_commit(hub: StandinHub, tmp_path: Path):
    commit = Push(private=True).send("me/voice", "model", files(tmp_path), "first")
    repository = hub.repositories["models/me/voice"]
    assert repository.private
    assert repository.commits == [commit]
    assert repository.files == {name: path.read_bytes() for name, path in files(tmp_path).items()}


def test_a_push_that_was_cut_off_goes_on_and_nothing_is_published_half(hub: StandinHub, tmp_path: Path):
    wanted = files(tmp_path)
    hub.fails = lambda method, path: 403 if method == "PUT" and len(hub.uploads) == 1 else None
    with pytest.raises(HubError, match="me/voice"):
        Push(private=True).send("me/voice", "model", wanted, "cut off")
    assert hub.repositories["models/me/voice"].files == {}
    hub.fails = lambda method, path: None
    Push(private=True).send("me/voice", "model", wanted, "again")
    assert set(hub.repositories["models/me/voice"].files) == set(wanted)
    assert len(hub.uploads) == len(set(hub.uploads)) == 2


def test_the_same_content_again_is_no_new_commit(hub: StandinHub, tmp_path: Path):
    first = Push(private=True).send("me/voice", "model", files(tmp_path), "first")
    assert Push(private=True).send("me/voice", "model", files(tmp_path), "second") == first


@pytest.mark.parametrize(("status", "remedy"), [(401, "not valid"), (403, "write access"), (429, "wait some minutes")])
def test_a_refusing_hub_is_explained_without_the_token(hub: StandinHub, tmp_path: Path, status: int, remedy: str):
    hub.fails = lambda method, path: status if path.endswith("commit/main") else None
    with pytest.raises(HubError, match=remedy) as error:
        Push(private=True).send("me/voice", "model", files(tmp_path), "first")
    assert TOKEN not in str(error.value)


def test_without_a_token_nothing_is_tried(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(HubError, match="HF_TOKEN"):
        Push(private=True)


@pytest.mark.parametrize("scored", ["this", "another", "unsaid", "nothing"])
def test_a_scorecard_of_another_checkpoint_is_no_reason_to_publish(tmp_path: Path, scored: str):
    base = write_base(tmp_path / "base")
    training_set, card = write_set(tmp_path, base), tmp_path / "card"
    digests = {"this": checkpoint_digest(base), "another": "0123456789abcdef", "unsaid": None}
    if scored in digests:
        card_of = {"scores": [], "differences": [], "missing": [], "checkpoint": digests[scored]}
        storage.write_json(card / "scorecard.json", card_of)
    release = Release(repo="me/voice", licence="CC0-1.0", voice_consent="they agreed to it")
    recipe = load_recipe("sample")
    recipe = recipe.model_copy(
        update={"release": release, "base": recipe.base.model_copy(update={"licence": "CC0-1.0"})}
    )
    found = refusals(recipe, Lineage(base, training_set, card, {}, {}, {}, "base", "digest"))
    assert any("0123456789abcdef" in line and "materialize" in line for line in found) is (scored == "another")
    assert any("no scorecard" in line for line in found) is (scored == "nothing")


@pytest.mark.parametrize(
    ("base", "refused"),
    [({"repo": "a/b"}, True), ({"path": "c"}, True), ({"repo": "a/b", "licence": "CC0-1.0"}, False), ({}, False)],
)
def test_a_base_whose_licence_nobody_stated_is_not_released_as_ours(tmp_path: Path, base: dict, refused: bool):
    folder = write_base(tmp_path / "base")
    lineage = Lineage(folder, write_set(tmp_path, folder), tmp_path / "card", {}, {}, {}, "base", "digest")
    release = Release(repo="me/voice", licence="CC0-1.0", voice_consent="they agreed to it")
    recipe = load_recipe("sample").model_copy(update={"release": release, "base": Base.model_validate(base)})
    said = "the base checkpoint (not stated): its licence is not known"
    assert any(line.startswith(said) for line in refusals(recipe, lineage)) is refused
    assert ("(licence: not stated)" in model_card(recipe, lineage)) is refused


def test_a_card_names_files_and_no_folder_of_this_machine(tmp_path: Path):
    folder = write_base(tmp_path / "base")
    lineage = Lineage(folder, write_set(tmp_path, folder), tmp_path / "card", {}, {}, {}, "base", "digest")
    recipe = load_recipe("sample")
    own = {name: str(tmp_path / f"own-{name}") for name in ("edges", "labels", "prompt", "model")}
    for name in own:
        (tmp_path / f"own-{name}").write_text("{{ style }}")
    describing = recipe.describing.model_copy(update={"prompt": own["prompt"], "model": own["model"]})
    binning = recipe.binning.model_copy(update={"edges": own["edges"], "labels": own["labels"]})
    release = Release(repo="me/voice", licence="CC0-1.0", voice_consent="they agreed to it")
    recipe = recipe.model_copy(update={"release": release, "describing": describing, "binning": binning})
    cards = model_card(recipe, lineage) + data_card(recipe, lineage, [])
    assert str(tmp_path) not in cards
    assert all(f"own-{name}" in cards for name in own)


@pytest.mark.parametrize(
    ("source", "wanted", "problem"),
    [
        ("CC0-1.0", "Apache-2.0", None),
        ("CC-BY-4.0, Apache-2.0", "CC-BY-4.0", None),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0", None),
        ("CC-BY-NC-4.0", "Apache-2.0", "commercial"),
        ("CC-BY-SA-4.0", "MIT", "same licence"),
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0", None),
        ("CC-BY-ND-4.0", "CC-BY-ND-4.0", "derivatives"),
        ("unknown", "Apache-2.0", "not known"),
        ("not stated", "Apache-2.0", "not known"),
        ("CC0-1.0, not stated", "CC0-1.0", "not known"),
        ("CC-BY-4.0, unknown", "Apache-2.0", "not known"),
    ],
)
def test_licences_bind(source: str, wanted: str, problem: str | None):
    found = licence_problems({"corpus studio": source}, wanted)
    assert bool(found) == (problem is not None)
    assert problem is None or problem in found[0]
