"""The whole recipe, and how it is read from a file."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.intake.names import shown
from parler_assets.intake.yaml_documents import yaml_value
from parler_assets.recipe.corpora import Corpus
from parler_assets.recipe.evaluation import Evaluation, Release
from parler_assets.recipe.names import unusable_names
from parler_assets.recipe.section import RecipeError, Section, explain
from parler_assets.recipe.speech import Annotation, Binning, Coding, Describing, Shards
from parler_assets.recipe.training import Base, Training

SHIPPED = ("sample", "expresso")
# Groups of assets, and folders beside those of the corpora.
TAKEN = (
    "training", "evaluation", "base", "sweep", "training_set", "base_checkpoint", "finetuned_checkpoint",
    "evaluation_samples", "scorecard",
)  # fmt: skip


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
    release: Release | None = Field(
        None, description="what the asset `release` publishes; None: there is no such asset"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.corpora:
            if not (name.isidentifier() and name.isascii()) or name in TAKEN:
                raise ValueError(
                    f"corpora.{shown(name)[:40]}: a corpus needs a lower-case identifier other than {', '.join(TAKEN)}"
                )
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
        return Recipe.model_validate(_resolve_paths(content, Path(origin).parent))
    except ValidationError as error:
        raise RecipeError(explain(error, origin)) from None


def _read(chosen: str) -> tuple[str, str]:
    if chosen in SHIPPED:
        file = resources.files("parler_assets.recipe") / "shipped" / f"{chosen}.yaml"
        return file.read_text(encoding="utf-8"), str(file)
    path = Path(chosen).expanduser()
    if not path.is_file():
        raise RecipeError(f"no recipe {chosen!r}: give one of {', '.join(SHIPPED)} or the path of a YAML file")
    return read_text(path), str(path.resolve())


_PATH_KEYS = ("path", "metadata", "held_out_ids")


def _resolve_paths(node, folder: Path):
    """Paths in a recipe are relative to the recipe's own folder, wherever it is used from."""
    if isinstance(node, dict):
        return {
            k: _resolved(v, folder) if k in _PATH_KEYS and isinstance(v, str) else _resolve_paths(v, folder)
            for k, v in node.items()
        }
    if isinstance(node, list):
        return [_resolve_paths(item, folder) for item in node]
    return node


def _resolved(value: str, folder: Path) -> str:
    path = Path(value).expanduser()
    return str(path if path.is_absolute() else (folder / path).resolve())
