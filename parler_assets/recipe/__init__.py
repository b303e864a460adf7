"""A recipe: one YAML file that says what is built, from what, and how.

Nothing here knows Dagster, torch or audio. A recipe is checked completely when it is loaded: an unknown key, a missing
file, a wrong type or an impossible combination raises `RecipeError` naming the key and the remedy.
"""

from parler_assets.recipe.corpora import (
    Columns,
    Corpus,
    FolderSource,
    HubSource,
    PublishedDescriptions,
    Source,
    SyntheticSource,
    WrittenDescriptions,
)
from parler_assets.recipe.evaluation import JUDGING, Evaluation, Graded, Release, Serving, Thresholds
from parler_assets.recipe.loading import SHIPPED, Recipe, load_recipe
from parler_assets.recipe.operations import Operations
from parler_assets.recipe.section import RecipeError, Section, digest
from parler_assets.recipe.speech import (
    EDGE_SETS,
    Annotation,
    Binning,
    Coding,
    Describing,
    LowestEdges,
    Shards,
    Tolerances,
)
from parler_assets.recipe.training import TRAINING_SET_FIELDS, Base, Lora, Training

__all__ = [
    "EDGE_SETS",
    "JUDGING",
    "SHIPPED",
    "TRAINING_SET_FIELDS",
    "Annotation",
    "Base",
    "Binning",
    "Coding",
    "Columns",
    "Corpus",
    "Describing",
    "Evaluation",
    "FolderSource",
    "Graded",
    "HubSource",
    "Lora",
    "LowestEdges",
    "Operations",
    "PublishedDescriptions",
    "Recipe",
    "RecipeError",
    "Release",
    "Section",
    "Serving",
    "Shards",
    "Source",
    "SyntheticSource",
    "Thresholds",
    "Tolerances",
    "Training",
    "WrittenDescriptions",
    "digest",
    "load_recipe",
]
