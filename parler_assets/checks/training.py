"""The checks of the training set, of the checkpoints around it, and of a sweep."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from parler_assets.checks.check import Audit, Check, Made, asset_checks, audit
from parler_assets.recipe import Recipe

LOST = "parler_assets.tts.data.audit:many_set_aside"
PARTS = "All parts of a checkpoint are there."


def training_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of the group `training` and of the base checkpoint."""
    learnt = "Training lowered the held-out loss of the base."
    finetuned = [
        Check("complete", PARTS, lambda made: checkpoint_problems(made.workspace.finetuned_path())),
        Check("learnt", learnt, nothing_learnt, blocking=False),
    ]
    base = [Check("complete", PARTS, lambda made: checkpoint_problems(made.workspace.base_path()))]
    return [
        asset_checks(dg.AssetKey("base_checkpoint"), base, recipe, settings=False),
        asset_checks(dg.AssetKey("training_set"), set_checks(recipe), recipe),
        asset_checks(dg.AssetKey("finetuned_checkpoint"), finetuned, recipe),
    ]


def set_checks(recipe: Recipe) -> list[Check]:
    joined = "Clips, descriptions and codes of every corpus found each other by id."
    hours = "At least training.min_hours hours to train on, and clips held out."
    many = "The held-out loss comes from at least 400 clips, where there are as many."
    limit = recipe.shards.max_set_aside
    lost = f"At most {limit:.0%} of a corpus's clips are left out, those apart that the recipe asks to leave out."
    few = audit("parler_assets.tts.training.fitness:few_held_out", lambda made: made.workspace.training_set)
    return [
        Check("lanes_joined", joined, of_kinds("no_descriptions", "no_codes", "missing_descriptions")),
        Check("enough_hours", hours, of_kinds("empty", "too_few_hours", "no_held_out")),
        Check("codes_intact", "Codes are readable and in range.", of_kinds("corrupt_codes", "codes_out_of_range")),
        Check("no_leakage", "No utterance is both trained on and held out.", of_kinds("leakage")),
        Check("enough_held_out", many, few, blocking=False),
        Check("few_set_aside", lost, audit(LOST, lambda made: made.workspace.training_set, limit), blocking=False),
    ]


def sweep_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The check of a sweep. It warns: variants that could be trained are compared all the same."""
    every = "Every variant of the recipe could be trained."
    return [asset_checks(dg.AssetKey("sweep"), [Check("all_trained", every, failed_variants, blocking=False)], recipe)]


def of_kinds(*kinds: str) -> Audit:
    """The problems of these kinds that the training set's audit finds."""

    def run(made: Made) -> list[str]:
        from parler_assets.tts.data import audit_training_set

        return [str(problem) for problem in audit_training_set(made.workspace.training_set) if problem.kind in kinds]

    return run


def checkpoint_problems(folder: Path) -> list[str]:
    from parler_assets.tts.base import BaseError, validate_base

    try:
        validate_base(folder)
    except BaseError as error:
        return [str(error)]
    return []


def nothing_learnt(made: Made) -> list[str]:
    from parler_assets.tts.training import fitness
    from parler_assets.tts.training.job import TRAINED

    return fitness.nothing_learnt(TRAINED.read(made.workspace.finetuned_checkpoint / "training.json"))


def failed_variants(made: Made) -> list[str]:
    from parler_assets.tts.experiments.sweep import failures

    return [f"variant {name}: {why}" for name, why in failures(made.workspace.sweep).items()]
