"""Jobs, schedules and the sensor, on a simulated clock and without a daemon."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import dagster as dg
import pytest

from parler_assets import automation
from parler_assets.definitions import definitions_of
from parler_assets.recipe import Operations, load_recipe
from tests.support.clock import scheduler
from tests.support.standin_hub import Repository, StandinHub, standin_hub

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
    assert {item.name for item in shipped} == {"weekly_rebuild", "rebuild_what_changed", "hub_revisions", "failed_runs"}
    stopped = {dg.DefaultScheduleStatus.STOPPED, dg.DefaultSensorStatus.STOPPED}
    assert {item.default_status for item in shipped} <= stopped


@pytest.mark.parametrize(("hours", "seconds"), [(None, "604800"), (0.5, "1800"), (72, "259200")])
def test_jobs_end_after_the_recipes_hours(hours: float | None, seconds: str):
    recipe = EXPRESSO.model_copy(update={"operations": Operations(max_hours=hours) if hours else Operations()})
    built = definitions_of(recipe).get_repository_def()
    assert {built.get_job(job.name).tags["dagster/max_runtime"] for job in automation.jobs(recipe)} == {seconds}


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


def test_the_daemons_scheduler_rebuilds_everything_on_mondays_at_two(tmp_path):
    sunday, hour = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC), datetime.timedelta(hours=1)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, scheduler(instance) as daemon:
        daemon.switch_on("weekly_rebuild", sunday)
        assert not daemon.at(sunday + 13.9 * hour)
        assert daemon.at(sunday + 14.1 * hour) == [{"*"}]
        assert not daemon.at(sunday + 7 * 24 * hour)
        (run,) = instance.get_runs()
    assert run.job_name == "everything"


def commit(hub: StandinHub, repo: str, *messages: str) -> str:
    repository = hub.repositories.setdefault(f"datasets/{repo}", Repository())
    return [repository.commit(message) for message in messages][-1]


@pytest.fixture
def hub(monkeypatch) -> Iterator[StandinHub]:
    """A Hub with the data sets of the Expresso recipe, LibriTTS-R excepted."""
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        for repo in ("ylacombe/expresso", "reach-vb/jenny_tts_dataset"):
            commit(hub, repo, "first")
        yield hub


def look(repository, cursor: str | None):
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
        return repository.get_sensor_def("hub_revisions").evaluate_tick(context)


def versions(result) -> dict[str, str]:
    return {event.asset_key.to_user_string(): event.tags["dagster/data_version"] for event in result.asset_events}


def test_the_sensor_reports_new_commits_and_nothing_twice(repository, hub: StandinHub):
    first = look(repository, None)
    assert set(versions(first)) == {"expresso/hub_dataset", "jenny/hub_dataset"}
    assert look(repository, first.cursor).skip_message.startswith("no data set has a new commit")
    sha = commit(hub, "ylacombe/expresso", "second")
    assert versions(look(repository, first.cursor)) == {"expresso/hub_dataset": sha}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_data_set_that_cannot_be_asked_hides_no_other(repository, hub: StandinHub, status: int):
    hub.fails = lambda method, path: status if "expresso" in path else None
    found = look(repository, None)
    assert set(versions(found)) == {"jenny/hub_dataset"}
    hub.fails = lambda method, path: status
    silent = look(repository, found.cursor)
    assert "cannot ask the Hub for the commit of ylacombe/expresso" in silent.skip_message
    hub.fails = lambda method, path: None
    assert set(versions(look(repository, found.cursor))) == {"expresso/hub_dataset"}


def test_a_hub_that_cannot_be_reached_is_no_failed_tick(repository, hub: StandinHub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert (
        "cannot ask the Hub for the commit of ylacombe/expresso (main): ConnectError"
        in look(repository, None).skip_message
    )


def test_a_recipe_without_hub_sources_has_no_sensor():
    assert automation.hub_revisions(load_recipe("sample")) is None
