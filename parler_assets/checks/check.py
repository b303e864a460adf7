"""The library's audits as asset checks: `Check(name, what is asked, audit(...))`, several of them to an asset.

Blocking ones stop what lies below in the same run; all can be run again alone. One step carries all checks of an
asset: a step is a process, and starting one costs more than an audit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import dagster as dg

from parler_assets.intake.markdown import escaped
from parler_assets.pages.settings import as_made, differences, settings_in
from parler_assets.recipe import Recipe
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.workspace import Workspace


@dataclass(frozen=True)
class Made:
    """An asset as it was made last: where its files lie, and the recipe with the settings of the run that made it.

    `unlike` says how those differ from what the recipe has now.
    """

    workspace: Workspace
    recipe: Recipe
    unlike: tuple[str, ...] = ()
    device: str = "auto"  # what a check computes on


Audit = Callable[[Made], list[str]]


def audit(target: str, *arguments: Any) -> Audit:
    """A library's audit by its `module:function`: the module, with all that it loads, is imported when the check runs.

    Args:
        arguments: what the audit is called with; a function among them is given the asset as it was made first: it
            returns a stage's folder, or a setting of that run.
    """
    module, _, name = target.partition(":")

    def run(made: Made) -> list[str]:
        given = [argument(made) if callable(argument) else argument for argument in arguments]
        return getattr(import_module(module), name)(*given)

    return run


@dataclass(frozen=True)
class Check:
    """A named question about an asset; its audit answers with problems. One that does not block is a warning."""

    name: str
    description: str
    audit: Audit
    blocking: bool = True

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(self.name, asset=asset, description=self.description, blocking=self.blocking)

    def result(self, asset: dg.AssetKey, made: Made) -> dg.AssetCheckResult:
        problems = self.audit(made)
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=self.name,
            passed=not problems,
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            description=_one_line(problems) + self._made_otherwise(asset, problems, made),
            metadata={"problems": len(problems), **_list_of(problems)},
        )

    def _made_otherwise(self, asset: dg.AssetKey, problems: list[str], made: Made) -> str:
        """What was typed for the run that made the asset may be to blame: no edit of the recipe cures that."""
        if not problems or not made.unlike or self.name == AS_RECIPE:
            return ""
        named = asset.to_user_string()
        return f" (made with {'; '.join(made.unlike)}: materialize {named} without that, or change the recipe)"


def _one_line(problems: list[str]) -> str:
    """One line, for the UI shows no other: several problems are numbered, since each may hold a semicolon itself."""
    if len(problems) < 2:
        return "".join(problems) or "no problem found"
    return " ".join(f"({number}) {problem}." for number, problem in enumerate(problems, start=1))


def _list_of(problems: list[str]) -> dict[str, dg.MetadataValue]:
    """Several problems one below the other."""
    lines = "\n".join(f"- {escaped(problem)}" for problem in problems)
    return {"each": dg.MetadataValue.md(lines)} if problems[1:] else {}


AS_RECIPE = "as_recipe"


def as_recipe(asset: dg.AssetKey) -> Check:
    """Warns where an asset was made with settings other than the recipe's."""
    told = "Made with the settings of the recipe: nothing else was typed for that run."
    cure = f"materialize {asset.to_user_string()} again, or write that value into the recipe"
    return Check(AS_RECIPE, told, lambda made: [f"{one}: {cure}" for one in made.unlike], blocking=False)


def asset_checks(
    asset: dg.AssetKey, checks: list[Check], recipe: Recipe, settings: bool = True
) -> dg.AssetChecksDefinition:
    """All checks of one asset as one step, which judge by the settings of the run that made it.

    Args:
        settings: whether the Launchpad has settings that this asset obeys.
    """
    checks = [*checks, as_recipe(asset)] if settings else checks

    @dg.multi_asset_check(
        name="check_" + "_".join(asset.path), specs=[check.spec(asset) for check in checks], can_subset=True
    )
    def run_checks(
        context: dg.AssetCheckExecutionContext, workspace: Workspace, accelerator: Accelerator
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        made = replace(made_last(context.instance, asset, workspace, recipe), device=accelerator.device)
        for check in checks:
            if check.name in chosen:
                yield check.result(asset, made)

    return run_checks


def made_last(instance: dg.DagsterInstance, asset: dg.AssetKey, workspace: Workspace, recipe: Recipe) -> Made:
    """The asset with the settings in its latest materialization; with the recipe's where none is recorded."""
    event = instance.get_latest_materialization_event(asset)
    found = event.asset_materialization if event else None
    settings = settings_in(found.metadata) if found else {}
    return Made(workspace, as_made(recipe, settings), tuple(differences(recipe, settings)))
