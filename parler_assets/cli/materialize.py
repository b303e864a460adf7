"""Materialize the graph in this process, recorded in the Dagster instance so that the UI shows the run."""

from __future__ import annotations

import re
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from parler_assets.cli.instance import HomeError, explained, free_dead_runs, home_folder, instance_in, process_tags
from parler_assets.cli.options import fail
from parler_assets.cli.progress import watching
from parler_assets.definitions import definitions_of
from parler_assets.intake.near import did_you_mean
from parler_assets.recipe import load_recipe


class SelectionError(ValueError):
    """What `--select` says cannot be used; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: whether it succeeded, and if not, which step failed and why.

    Attributes:
        total: what was done, in how long.
        output: a file with what its steps printed, where it failed.
    """

    run_id: str
    success: bool
    failures: dict[str, str]
    total: str
    output: Path | None = None

    def explain(self) -> str:
        lines = [f"Run {self.run_id[:8]} failed. What is finished is kept; the next run resumes from there."]
        lines += [f"  {step}: {reason}" for step, reason in self.failures.items()]
        return "\n".join([*lines, *([f"What its steps printed: {self.output}"] if self.output else [])])


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
    defs, run_id = definitions_of(recipe), str(uuid.uuid4())
    with instance_in(home_folder()) as instance:
        free_dead_runs(instance)
        chosen = None if select == "*" else list(selected(defs, select))
        resources = {"workspace": {"config": {"rebuild": rebuild}}, "accelerator": {"config": {"device": device}}}
        with watching(instance, run_id, recipe.name) as lines:
            result = defs.resolve_job_def(job).execute_in_process(
                run_config={"resources": resources},
                instance=instance,
                run_id=run_id,
                tags=process_tags(),
                asset_selection=chosen,
                raise_on_error=False,
            )
        failures = {event.step_key or "": _reason(event) for event in result.all_events if event.is_step_failure}
        return Outcome(run_id, result.success, failures, lines.total(), lines.output)


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
        groups = {f"group:{graph.get(key).group_name}" for key in graph.materializable_asset_keys}
        written = select.replace("'", "").replace('"', "").removeprefix("key:")
        hint = did_you_mean(written, groups if ":" in written else known) or f"this recipe has {', '.join(known)}"
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
