"""Dagster's scheduler on a simulated clock: what the daemon would launch at a moment."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._scheduler.scheduler import launch_scheduled_runs

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"


class Scheduler:
    """The scheduler daemon over the project's own code location."""

    def __init__(self, instance: dg.DagsterInstance, context) -> None:
        self.instance, self.context = instance, context

    def switch_on(self, name: str, now: datetime.datetime) -> None:
        (location,) = self.context.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        with freeze_time(now):
            self.instance.start_schedule(repository.get_schedule(name))

    def at(self, now: datetime.datetime) -> list[set[str]]:
        """The runs that are queued when the clock shows `now`: the assets of each, or "*" for a whole job."""
        before = {run.run_id for run in self.instance.get_runs()}
        with freeze_time(now):
            list(launch_scheduled_runs(self.context, logging.getLogger("scheduler"), now, iteration_times={}))
        new = [run for run in self.instance.get_runs() if run.run_id not in before]
        return [{key.to_user_string() for key in run.asset_selection} if run.asset_selection else {"*"} for run in new]


@contextmanager
def scheduler(instance: dg.DagsterInstance) -> Iterator[Scheduler]:
    """A scheduler over the definitions as they are now: a recipe edited later needs another one."""
    with create_test_daemon_workspace_context(WorkspaceFileTarget(paths=[str(WORKSPACE)]), instance) as context:
        yield Scheduler(instance, context)
