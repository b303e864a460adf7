"""The library's audits as asset checks: `Check(name, what is asked, audit(...))`, several of them to an asset.

Blocking ones stop what lies below in the same run; all can be run again alone. One step carries all checks of an
asset: a step is a process, and starting one costs more than an audit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import dagster as dg

from parler_assets.intake.markdown import escaped
from parler_assets.resources.workspace import Workspace

Audit = Callable[[Workspace], list[str]]


def audit(target: str, *arguments: Any) -> Audit:
    """A library's audit by its `module:function`: the module, with all that it loads, is imported when the check runs.

    Args:
        arguments: what the audit is called with; a function among them is given the workspace first: a stage's folder.
    """
    module, _, name = target.partition(":")

    def run(workspace: Workspace) -> list[str]:
        given = [argument(workspace) if callable(argument) else argument for argument in arguments]
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

    def result(self, asset: dg.AssetKey, workspace: Workspace) -> dg.AssetCheckResult:
        problems = self.audit(workspace)
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=self.name,
            passed=not problems,
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            description=_one_line(problems),
            metadata={"problems": len(problems), **_list_of(problems)},
        )


def _one_line(problems: list[str]) -> str:
    """One line, for the UI shows no other: several problems are numbered, since each may hold a semicolon itself."""
    if len(problems) < 2:
        return "".join(problems) or "no problem found"
    return " ".join(f"({number}) {problem}." for number, problem in enumerate(problems, start=1))


def _list_of(problems: list[str]) -> dict[str, dg.MetadataValue]:
    """Several problems one below the other."""
    lines = "\n".join(f"- {escaped(problem)}" for problem in problems)
    return {"each": dg.MetadataValue.md(lines)} if problems[1:] else {}


def asset_checks(asset: dg.AssetKey, checks: list[Check]) -> dg.AssetChecksDefinition:
    """All checks of one asset as one step."""

    @dg.multi_asset_check(
        name="check_" + "_".join(asset.path), specs=[check.spec(asset) for check in checks], can_subset=True
    )
    def run_checks(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        for check in checks:
            if check.name in chosen:
                yield check.result(asset, workspace)

    return run_checks
