"""Materialize the graph in this process, recorded in the Dagster instance so that the UI shows the run."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import dagster as dg

from parler_assets.cli.instance import free_dead_runs, process_tags, progress_logger
from parler_assets.definitions import definitions_of
from parler_assets.recipe import load_recipe


@dataclass(frozen=True)
class Outcome:
    """A finished run: whether it succeeded, and if not, which step failed and why."""

    run_id: str
    success: bool
    failures: dict[str, str]

    def explain(self) -> str:
        lines = [f"Run {self.run_id[:8]} failed. What is finished is kept; the next run goes on from there."]
        return "\n".join([*lines, *(f"  {step}: {reason}" for step, reason in self.failures.items())])


def materialize(select: str = "*", rebuild: bool = False, job: str = "everything", device: str = "auto") -> Outcome:
    """Materialize a job's assets, or the selected ones of them, and their checks, one after the other."""
    recipe = load_recipe()
    defs = dg.Definitions.merge(definitions_of(recipe), dg.Definitions(loggers={"progress": progress_logger}))
    with dg.DagsterInstance.get() as instance:
        free_dead_runs(instance)
        chosen = None if select == "*" else list(_keys(defs, select))
        resources = {"workspace": {"config": {"rebuild": rebuild}}, "accelerator": {"config": {"device": device}}}
        result = defs.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"progress": {}}, "resources": resources},
            instance=instance,
            tags=process_tags(),
            asset_selection=chosen,
            raise_on_error=False,
        )
        failures = {event.step_key or "": _reason(event) for event in result.all_events if event.is_step_failure}
        return Outcome(result.run_id, result.success, failures)


def _keys(defs: dg.Definitions, select: str) -> set[dg.AssetKey]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return set(dg.AssetSelection.from_string(select).resolve(defs.resolve_asset_graph()))


def _reason(event: dg.DagsterEvent) -> str:
    """The innermost error of a failed step in a few lines."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return re.sub(r"^[\w.]*\.(?=\w+: )", "", error.message.strip()) if error else "no reason was recorded"
