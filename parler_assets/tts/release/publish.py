"""Publish a fine-tuned checkpoint, and the tags and descriptions it was trained on, with cards made from lineage.

Everything said in a card is read from what was built: manifests, the training record, the scorecard, the recipe.
Nothing is published that a licence, a threshold of the recipe or a problem of the training set forbids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parler_assets import storage
from parler_assets.recipe import Recipe, Release, digest
from parler_assets.recipe.section import BY_CONTENT
from parler_assets.speech.dataspeech_export import export
from parler_assets.tts.base import checkpoint_digest, known_files
from parler_assets.tts.data import audit_training_set
from parler_assets.tts.release.cards import Lineage, data_card, model_card
from parler_assets.tts.release.hub import Push
from parler_assets.tts.release.licences import licence_problems
from parler_assets.tts.scoring.stage import check_thresholds, read_scorecard

__all__ = ["Lineage", "Published", "ReleaseRefused", "publish", "refusals"]


class ReleaseRefused(ValueError):
    """Something forbids publishing; the message lists every reason with its remedy."""


@dataclass(frozen=True)
class Published:
    """What lies on the Hub now: repository to commit."""

    model: str
    commit: str
    data: str | None
    data_commit: str | None
    card: str


def publish(
    recipe: Recipe, lineage: Lineage, bins: Mapping[str, Path], texts: Mapping[str, Path], folder: Path
) -> Published:
    """Push the checkpoint, and the annotations if the recipe names a place for them.

    An interrupted push goes on: files that are already there are not sent again, and a repository changes in one
    commit, when all of its files have arrived.

    Args:
        bins, texts: corpus to its text bins and descriptions, for corpora that were annotated here.
        folder: where cards and tables are written before they are pushed.

    Raises:
        ReleaseRefused: before anything is sent.
        HubError: the Hub did not take it; the message says what to do.
    """
    release = _wanted(recipe)
    problems = refusals(recipe, lineage)
    if problems:
        raise ReleaseRefused("not published:\n" + "\n".join(f"- {problem}" for problem in problems))
    push = Push(release.private)
    data_commit = None
    if release.data_repo and bins:
        files = _tables(recipe, bins, texts, folder / "data")
        card = _write(folder / "data" / "README.md", data_card(recipe, lineage, sorted(bins)))
        data_commit = push.send(release.data_repo, "dataset", {**files, "README.md": card}, _message(lineage))
    card = _write(folder / "model" / "README.md", model_card(recipe, lineage))
    files = known_files(lineage.checkpoint)
    commit = push.send(release.repo, "model", {**files, "README.md": card}, _message(lineage))
    return Published(release.repo, commit, release.data_repo if data_commit else None, data_commit, card.read_text())


def refusals(recipe: Recipe, lineage: Lineage) -> list[str]:
    """Every reason not to publish."""
    release = _wanted(recipe)
    facts = storage.read_manifest(lineage.training_set).facts
    sources = {**{f"corpus {name}": licence for name, licence in facts["licences"].items()}}
    sources["the base checkpoint"] = recipe.base.terms
    card = read_scorecard(lineage.scorecard)
    problems = licence_problems(sources, release.licence)
    problems += [str(problem) for problem in audit_training_set(lineage.training_set)]
    if card is None:
        return [*problems, "there is no scorecard: materialize it, so that the card can say how good this is"]
    return problems + _of_another(card, lineage.checkpoint) + check_thresholds(card, recipe.evaluation.thresholds)


def _of_another(card: dict, checkpoint: Path) -> list[str]:
    """Scorecards of earlier versions do not say which checkpoint they are of."""
    scored, ours = card.get("checkpoint"), checkpoint_digest(checkpoint)
    if scored in (None, ours):
        return []
    return [f"the scorecard is of checkpoint {scored} and not of {ours}: materialize the samples and it again"]


def _wanted(recipe: Recipe) -> Release:
    if recipe.release is None:
        raise ReleaseRefused(f"recipe {recipe.name} has no section `release`: add one with repo and licence")
    return recipe.release


def _tables(recipe: Recipe, bins: Mapping[str, Path], texts: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """One Parquet file a corpus, in DataSpeech's layout, without audio."""
    era = recipe.annotation.era
    return {
        f"{name}/train.parquet": export(stage, folder / name / "train.parquet", era, True, texts[name])
        for name, stage in bins.items()
    }


def _write(path: Path, text: str) -> Path:
    with storage.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _message(lineage: Lineage) -> str:
    return f"Checkpoint {checkpoint_digest(lineage.checkpoint)}, recipe {lineage.recipe_digest}"


def recipe_digest(recipe: Recipe) -> str:
    return digest(recipe.model_dump(mode="json", exclude={"release"}, context=BY_CONTENT))
