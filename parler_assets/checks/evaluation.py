"""The checks of samples and scores. They warn: a poor checkpoint is shown as it is; only `release` refuses it."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from parler_assets.checks.check import Audit, Check, Made, asset_checks, audit
from parler_assets.recipe import Recipe, Thresholds


def evaluation_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of the group `evaluation`."""
    limit = recipe.shards.max_set_aside
    spoken = audit("parler_assets.speech.audits:few_set_aside", lambda made: made.workspace.evaluation_samples, limit)
    samples = [Check("all_spoken", "Every prompt gave audio.", spoken, blocking=False)]
    return [
        asset_checks(dg.AssetKey("evaluation_samples"), samples, recipe),
        asset_checks(dg.AssetKey("scorecard"), score_checks(recipe.evaluation.thresholds), recipe),
    ]


def score_checks(limits: Thresholds) -> list[Check]:
    def reached(card: dict) -> list[str]:
        from parler_assets.tts.scoring.stage import check_thresholds

        return check_thresholds(card, limits)

    def lucky(card: dict) -> list[str]:
        from parler_assets.tts.scoring.stage import not_above_chance

        return not_above_chance(card)

    wanted, base = "Scores reach evaluation.thresholds of the recipe.", "No score got worse than the base checkpoint's."
    luck = "What was asked for is heard more often than chance."
    return [
        Check("thresholds", wanted, of_card(reached), blocking=False),
        Check("not_below_base", base, of_card(lambda card: card["worse_than_base"]), blocking=False),
        Check("above_chance", luck, of_card(lucky), blocking=False),
    ]


def of_card(question: Callable[[dict], list[str]]) -> Audit:
    """A question about the finished scorecard."""

    def run(made: Made) -> list[str]:
        from parler_assets.tts.scoring.stage import read_scorecard

        found = read_scorecard(made.workspace.scorecard)
        return question(found) if found else [f"{made.workspace.scorecard}: no scorecard; materialize it first"]

    return run
