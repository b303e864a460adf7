"""Everything Dagster knows, made from one recipe: `PARLER_RECIPE` names it, `sample` is the default."""

from __future__ import annotations

import dagster as dg

from parler_assets import automation
from parler_assets.assets.corpus import corpus_assets
from parler_assets.assets.evaluation import evaluation_assets
from parler_assets.assets.release import release_assets
from parler_assets.assets.sweep import sweep_assets
from parler_assets.assets.training import training_assets
from parler_assets.recipe import Recipe, load_recipe
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import executor
from parler_assets.resources.settings import settings_resource
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import workspace_of


def definitions_of(recipe: Recipe) -> dg.Definitions:
    """The asset graph of a recipe: one lane per corpus, joining in the training set."""
    lanes = [part for name, corpus in recipe.corpora.items() for part in corpus_assets(name, corpus, recipe)]
    parts = [*lanes, *training_assets(recipe), *evaluation_assets(recipe)]
    parts += [*sweep_assets(recipe), *release_assets(recipe)]
    sensor = automation.hub_revisions(recipe)
    jobs = automation.jobs(recipe)
    return dg.Definitions(
        assets=[part for part in parts if not isinstance(part, dg.AssetChecksDefinition)],
        asset_checks=[part for part in parts if isinstance(part, dg.AssetChecksDefinition)],
        jobs=jobs,
        schedules=automation.schedules(jobs[-1]),
        sensors=[automation.failed_runs(recipe), *([sensor] if sensor else [])],
        resources=resources_of(recipe),
        executor=executor(),
    )


def resources_of(recipe: Recipe) -> dict[str, dg.ConfigurableResource]:
    """Shared tools; the recipe's values are the Launchpad's defaults."""
    return {
        "workspace": workspace_of(recipe.name),
        "accelerator": Accelerator(),
        "tracking": Tracking(),
        "tagger": settings_resource(recipe.annotation),
        "binner": settings_resource(recipe.binning),
        "writer": settings_resource(recipe.describing),
        "coder": settings_resource(recipe.coding),
        "trainer": settings_resource(recipe.training),
        "evaluator": settings_resource(recipe.evaluation),
    }


recipe = load_recipe()
defs = definitions_of(recipe)
