"""One rule for every user of the Hub: a commit as it is; a branch is asked when something is made from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parler_assets.hub import revisions, weights
from parler_assets.hub.revisions import RevisionError, ask_commit, settled_commit
from parler_assets.recipe import Annotation, Corpus, Describing, Evaluation, HubSource
from parler_assets.speech.descriptions import engines
from parler_assets.speech.sources import open_source
from parler_assets.tts.scoring import judges
from tests.support.standin_hub import Repository, StandinHub, standin_hub

FIRST, SECOND = "a" * 40, "b" * 40


def data_set(revision: str, folder: Path) -> str:
    source = HubSource(kind="hub", repo="someone/thing", revision=revision)
    return open_source(Corpus(source=source), folder).commits["someone/thing"]


def language_model(revision: str, folder: Path) -> str:
    settings = Describing(engine="transformers", model="someone/thing", revision=revision)
    return engines.commits(engines.pinned(settings, folder))["someone/thing"]


def annotator(revision: str, folder: Path) -> str:
    settings = weights.pinned(Annotation(pitch="penn", pitch_revision=revision), folder)
    return next(iter(weights.commits(settings).values()))


def recogniser(revision: str, folder: Path) -> str:
    settings = judges.pinned(Evaluation(**GRID, recogniser="someone/thing", recogniser_revision=revision))
    return judges.commits(settings)["someone/thing"]


def base(revision: str, folder: Path) -> str:
    return settled_commit("someone/thing", revision, folder, "model")


GRID = {"speakers": ["Ann"], "styles": ["default"]}
USERS = [data_set, language_model, annotator, recogniser, base]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("user", USERS)
def test_every_user_follows_the_rule(cache, tmp_path, monkeypatch, user: Callable[[str, Path], str]):
    answers: list[str | None] = [FIRST, SECOND, None]

    def ask(repo: str, revision: str, kind: str) -> str:
        answer = answers.pop(0)
        if answer is None:
            raise ConnectionError("gone")
        return answer

    monkeypatch.setattr(revisions, "ask_commit", ask)
    assert user("c" * 40, tmp_path) == "c" * 40, "a commit is used as it is"
    assert [user("main", tmp_path) for _ in range(3)] == [FIRST, SECOND, SECOND]
    assert not answers


def test_pins_of_an_earlier_version_still_count(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "pins.json").write_text(json.dumps({"someone/thing@main": FIRST}))
    assert settled_commit("someone/thing", "main", tmp_path, "model") == FIRST


@pytest.fixture
def hub(cache, monkeypatch) -> Iterator[StandinHub]:
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        yield hub


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_the_hub_itself_is_asked(hub: StandinHub, tmp_path, kind: revisions.Kind):
    hub.repositories[f"{kind}s/someone/thing"] = repository = Repository()
    commit = repository.commit("first")
    assert ask_commit("someone/thing", "main", kind) == commit
    with pytest.raises(RevisionError, match=r"no .* someone/other with revision main"):
        settled_commit("someone/other", "main", tmp_path, kind)
    hub.fails = lambda method, path: 503
    with pytest.raises(RevisionError, match=r"someone/new \(main\).*never fetched to this machine: connect once"):
        settled_commit("someone/new", "main", tmp_path, kind)
