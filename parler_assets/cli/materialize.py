"""Materialize the graph in this process, recorded in the Dagster instance so that the UI shows the run."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from difflib import get_close_matches

import dagster as dg

from parler_assets.cli.instance import HomeError, explained, free_dead_runs, home_folder, process_tags
from parler_assets.cli.options import fail
from parler_assets.cli.progress import progress_logger
from parler_assets.definitions import definitions_of
from parler_assets.recipe import load_recipe


class SelectionError(ValueError):
    """What `--select` says cannot be used; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: whether it succeeded, and if not, which step failed and why."""

    run_id: str
    success: bool
    failures: dict[str, str]

    def explain(self) -> str:
        lines = [f"Run {self.run_id[:8]} failed. What is finished is kept; the next run resumes from there."]
        return "\n".join([*lines, *(f"  {step}: {reason}" for step, reason in self.failures.items())])


def materialize_or_fail(
    select: str = "*", rebuild: bool = False, job: str = "everything", device: str = "auto"
) -> Outcome:
    """A run that succeeded; else the command ends with what failed and why."""
    try:
        with explained(home_folder()):
            outcome = materialize(select, rebuild, job, device)
    except (HomeError, SelectionError) as error:
        fail(str(error))
    if not outcome.success:
        fail(outcome.explain())
    return outcome


def materialize(select: str = "*", rebuild: bool = False, job: str = "everything", device: str = "auto") -> Outcome:
    """Materialize a job's assets, or the selected ones of them, and their checks, one after the other."""
    recipe = load_recipe()
    defs = dg.Definitions.merge(definitions_of(recipe), dg.Definitions(loggers={"progress": progress_logger}))
    with dg.DagsterInstance.get() as instance:
        free_dead_runs(instance)
        chosen = None if select == "*" else list(selected(defs, select))
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


def selected(defs: dg.Definitions, select: str) -> set[dg.AssetKey]:
    """The assets that a selection names.

    Raises:
        SelectionError: it is no selection, or selects nothing.
    """
    graph = defs.resolve_asset_graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        try:
            found = set(dg.AssetSelection.from_string(select).resolve(graph))
        except dg.DagsterInvalidSubsetError:  # a name alone that no asset has
            found = set()
        except dg.DagsterError as error:
            raise SelectionError(f"--select {select!r}: {str(error).splitlines()[0]}") from None
    if not found:
        known = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
        near = get_close_matches(select.removeprefix("key:").strip("'\""), known, n=3)
        hint = f"did you mean {' or '.join(near)}" if near else f"this recipe has {', '.join(known)}"
        raise SelectionError(f"--select {select!r}: selects no asset; {hint}")
    return found


def _reason(event: dg.DagsterEvent) -> str:
    """The innermost error of a failed step in a few lines."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return re.sub(r"^[\w.]*\.(?=\w+: )", "", error.message.strip()) if error else "no reason was recorded"
