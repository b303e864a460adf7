"""The whole recipe, and how it is read from a file."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.near import did_you_mean
from parler_assets.intake.yaml_documents import yaml_value
from parler_assets.recipe.corpora import Corpus
from parler_assets.recipe.evaluation import Evaluation, Release, Serving
from parler_assets.recipe.layout import CACHE, unusable_corpora
from parler_assets.recipe.names import unusable_names
from parler_assets.recipe.operations import Operations
from parler_assets.recipe.section import RecipeError, Section, explain
from parler_assets.recipe.speech import Annotation, Binning, Coding, Describing, Shards
from parler_assets.recipe.training import Base, Training

SHIPPED = ("sample", "expresso")


class Recipe(Section):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    corpora: dict[str, Corpus] = Field(min_length=1)
    shards: Shards = Shards()
    annotation: Annotation = Annotation()
    binning: Binning = Binning()
    describing: Describing = Describing()
    base: Base = Base()
    coding: Coding = Coding()
    training: Training = Training()
    evaluation: Evaluation
    serving: Serving = Serving()
    operations: Operations = Operations()
    release: Release | None = Field(
        None, description="what the asset `release` publishes; None: there is no such asset"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_language(cls, given: Any) -> Any:
        """What is measured and evaluated is in the language of the corpora that are described here."""
        if not isinstance(given, dict) or not isinstance(given.get("corpora"), dict):
            return given
        corpora = [corpus for corpus in given["corpora"].values() if isinstance(corpus, dict)]
        described = [c for c in corpora if not _is_published(c)] or corpora
        spoken = {str(corpus.get("language", "en")) for corpus in described}
        if len(spoken) > 1:
            raise ValueError(
                f"corpora.language: {', '.join(sorted(spoken))}: corpora that are described here speak one language; "
                "write a recipe for each"
            )
        found = {"language": spoken.pop()} if spoken else {}
        parts = {name: given[name] for name in ("annotation", "evaluation") if isinstance(given.get(name), dict)}
        return given | {name: found | part for name, part in ({"annotation": {}} | parts).items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == CACHE:
            raise ValueError(f"name: {CACHE} is the folder that all recipes share: choose another name")
        for problem in unusable_corpora(self.corpora):
            raise ValueError(problem)
        if self.annotation.era == "b" and self.binning.edges.startswith("v01"):
            raise ValueError(
                "binning.edges v01 were made from era a tags: set annotation.era to a, or binning.edges to v02"
            )
        if self.annotation.era == "a" and self.binning.edges == "v02":
            raise ValueError(
                "binning.edges v02 were made from era b tags: set annotation.era to b, or binning.edges to v01_2024_04"
            )
        for problem in unusable_names(self.corpora, self.describing, self.evaluation):
            raise ValueError(problem)
        return self


def _is_published(corpus: dict) -> bool:
    descriptions = corpus.get("descriptions")
    return isinstance(descriptions, dict) and descriptions.get("kind") == "published"


def load_recipe(name_or_path: str | Path | None = None) -> Recipe:
    """Load a shipped recipe by name or any recipe by path; None reads PARLER_RECIPE (default `sample`).

    Raises:
        RecipeError: naming file, key and remedy.
    """
    chosen = str(name_or_path or os.environ.get("PARLER_RECIPE") or "sample")
    try:
        text, origin = _read(chosen)
        content = yaml_value(text, origin)
    except Refusal as error:
        raise RecipeError(str(error)) from None
    if not isinstance(content, dict):
        raise RecipeError(
            f"{origin}: a recipe is a mapping of sections; copy parler_assets/recipe/shipped/sample.yaml to start"
        )
    try:
        return Recipe.model_validate(content, context={"folder": Path(origin).parent})
    except ValidationError as error:
        raise RecipeError(explain(error, origin, Recipe)) from None


def _read(chosen: str) -> tuple[str, str]:
    if chosen in SHIPPED:
        file = resources.files("parler_assets.recipe") / "shipped" / f"{chosen}.yaml"
        return file.read_text(encoding="utf-8"), str(file)
    path = Path(chosen).expanduser()
    if not path.is_file():
        meant = did_you_mean(chosen, SHIPPED) or f"give one of {', '.join(SHIPPED)} or the path of a YAML file"
        raise RecipeError(f"no recipe {chosen!r}: {meant}")
    return read_text(path), str(path.resolve())
