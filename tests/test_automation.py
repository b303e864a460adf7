"""Jobs, schedules and the sensor, on a simulated clock and without a daemon."""

import datetime

import dagster as dg
import pytest

from parler_assets import automation
from parler_assets.definitions import definitions_of
from parler_assets.recipe import load_recipe

EXPRESSO = load_recipe("expresso")


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return definitions_of(EXPRESSO).get_repository_def()


def selected(repository, job: str) -> set[str]:
    return {key.to_user_string() for key in repository.get_job(job).asset_layer.executable_asset_keys}


def test_jobs_cut_the_graph_where_the_lanes_join(repository):
    annotate, rest, all_of_it = (selected(repository, job) for job in ("annotate", "train_and_evaluate", "everything"))
    assert {"expresso/llm_descriptions", "jenny/dac_codes", "base_checkpoint"} <= annotate
    assert {"training_set", "finetuned_checkpoint", "evaluation_samples", "scorecard"} <= rest
    assert not annotate & {"training_set", "scorecard"}
    assert annotate | rest == all_of_it


def test_everything_automatic_is_shipped_stopped(repository):
    shipped = [*repository.schedule_defs, *repository.sensor_defs]
    assert {item.name for item in shipped} == {"weekly_rebuild", "rebuild_what_changed", "hub_revisions"}
    stopped = {dg.DefaultScheduleStatus.STOPPED, dg.DefaultSensorStatus.STOPPED}
    assert {item.default_status for item in shipped} <= stopped


@pytest.mark.parametrize(("name", "stale_only"), [("weekly_rebuild", False), ("rebuild_what_changed", True)])
def test_schedules_ask_for_one_run(repository, name: str, stale_only: bool):
    schedule = repository.get_schedule_def(name)
    monday = datetime.datetime(2026, 11, 23, 3, tzinfo=datetime.UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=monday, repository_def=repository
        )
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.stale_assets_only is stale_only
    assert schedule.job_name == "everything"


def test_weekly_means_mondays(repository):
    assert repository.get_schedule_def("weekly_rebuild").cron_schedule == "0 2 * * 1"


def test_a_recipe_without_hub_sources_has_no_sensor():
    assert automation.hub_revisions(load_recipe("sample")) is None
