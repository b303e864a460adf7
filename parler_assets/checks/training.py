"""The checks of the training set, of the checkpoints around it, and of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from parler_assets.checks.check import Audit, Check, asset_checks, audit
from parler_assets.recipe import Recipe
from parler_assets.resources.workspace import Workspace

PARTS = "All parts of a checkpoint are there."


def training_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of the group `training` and of the base checkpoint."""
    learnt = "Training lowered the held-out loss of the base."
    finetuned = [
        Check("complete", PARTS, lambda workspace: checkpoint_problems(workspace.finetuned_path())),
        Check("learnt", learnt, nothing_learnt, blocking=False),
    ]
    base = [Check("complete", PARTS, lambda workspace: checkpoint_problems(workspace.base_path()))]
    return [
        asset_checks(dg.AssetKey("base_checkpoint"), base),
        asset_checks(dg.AssetKey("training_set"), set_checks(recipe)),
        asset_checks(dg.AssetKey("finetuned_checkpoint"), finetuned),
    ]


def set_checks(recipe: Recipe) -> list[Check]:
    joined = "Clips, descriptions and codes of every corpus found each other by id."
    hours = f"At least {recipe.training.min_hours:g} hours to train on, and clips held out."
    many = "The held-out loss comes from at least 400 clips, where there are as many."
    few = audit("parler_assets.tts.training.fitness:few_held_out", lambda workspace: workspace.training_set)
    return [
        Check("lanes_joined", joined, of_kinds("no_descriptions", "no_codes", "missing_descriptions")),
        Check("enough_hours", hours, of_kinds("empty", "too_few_hours", "no_held_out")),
        Check("codes_intact", "Codes are readable and in range.", of_kinds("corrupt_codes", "codes_out_of_range")),
        Check("no_leakage", "No utterance is both trained on and held out.", of_kinds("leakage")),
        Check("enough_held_out", many, few, blocking=False),
    ]


def sweep_checks() -> list[dg.AssetChecksDefinition]:
    """The check of a sweep. It warns: variants that could be trained are compared all the same."""
    every = "Every variant of the recipe could be trained."
    return [asset_checks(dg.AssetKey("sweep"), [Check("all_trained", every, failed_variants, blocking=False)])]


def of_kinds(*kinds: str) -> Audit:
    """The problems of these kinds that the training set's audit finds."""

    def run(workspace: Workspace) -> list[str]:
        from parler_assets.tts.data import audit_training_set

        return [str(problem) for problem in audit_training_set(workspace.training_set) if problem.kind in kinds]

    return run


def checkpoint_problems(folder: Path) -> list[str]:
    from parler_assets.tts.base import BaseError, validate_base

    try:
        validate_base(folder)
    except BaseError as error:
        return [str(error)]
    return []


def nothing_learnt(workspace: Workspace) -> list[str]:
    from parler_assets.tts.training import fitness

    record = workspace.finetuned_path().parent / "training.json"
    return fitness.nothing_learnt(json.loads(record.read_text(encoding="utf-8")))


def failed_variants(workspace: Workspace) -> list[str]:
    from parler_assets.tts.experiments.sweep import failures

    return [f"variant {name}: {why}" for name, why in failures(workspace.sweep).items()]
