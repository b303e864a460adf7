"""The whole graph of a tiny recipe: every stage real, unchanged work reused, an edit recomputes what depends on it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
import yaml
from mlflow import MlflowClient

from parler_assets import storage
from parler_assets.definitions import definitions_of
from parler_assets.recipe import load_recipe
from parler_assets.tts.experiments import evaluate as evaluating
from tests.support.clock import scheduler
from tests.support.standin_hub import StandinHub, standin_hub
from tests.support.tiny import BROKEN, write_tiny_recipe

SECRET = "hf_canary_0815"
MONDAY = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
BELOW_DESCRIPTIONS = {
    "studio/llm_descriptions",
    "training_set",
    "finetuned_checkpoint",
    "evaluation_samples",
    "scorecard",
}


@dataclass
class Graph:
    """A recipe's graph, materialized in this process and recorded in one instance."""

    recipe: Path
    data: Path
    instance: dg.DagsterInstance

    def run(self, *assets: str, job: str = "everything", **resources: dict) -> dg.ExecuteInProcessResult:
        """Materialize some assets, or all of a job, with values typed in the Launchpad for this run."""
        graph = definitions_of(load_recipe(self.recipe)).resolve_job_def(job)
        config = {"resources": {name: {"config": values} for name, values in resources.items()}}
        chosen = [dg.AssetKey(name.split("/")) for name in assets] or None
        return graph.execute_in_process(
            run_config=config, instance=self.instance, raise_on_error=False, asset_selection=chosen
        )

    def edit(self, **sections: dict) -> None:
        content = yaml.safe_load(self.recipe.read_text())
        for name, values in sections.items():
            content[name] = content.get(name, {}) | values
        self.recipe.write_text(yaml.safe_dump(content, sort_keys=False))


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict]:
    """Asset to the metadata it was materialized with."""
    events = [event for event in result.all_events if event.is_step_materialization]
    return {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in events
    }


def versions(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    events = [event for event in result.all_events if event.is_step_materialization]
    tags = {e.asset_key.to_user_string(): e.step_materialization_data.materialization.tags or {} for e in events}
    return {asset: found["dagster/data_version"] for asset, found in tags.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{found.asset_key.to_user_string()}:{found.check_name}": found
        for found in result.get_asset_check_evaluations()
    }


def computed(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets whose result was not there already."""
    return {asset for asset, found in metadata(result).items() if found.get("reused") is False}


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Iterator[Graph]:
    folder = tmp_path_factory.mktemp("tiny")
    recipe = write_tiny_recipe(folder)
    settings = {
        "telemetry": {"enabled": False},
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"},
    }
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.local_temp(str(folder), settings) as instance:
        patch.setenv("PARLER_DATA", str(folder / "data"))
        patch.setenv("PARLER_RECIPE", str(recipe))
        yield Graph(recipe, folder / "data" / "tiny", instance)


@pytest.fixture(scope="module")
def first(graph: Graph) -> dg.ExecuteInProcessResult:
    """The first run of everything, before any test edits the recipe."""
    return graph.run()


@pytest.fixture(scope="module")
def second(graph: Graph, first) -> dg.ExecuteInProcessResult:
    return graph.run()


def test_everything_is_materialized(first, graph: Graph):
    assert first.success
    expected = definitions_of(load_recipe(graph.recipe)).resolve_asset_graph().materializable_asset_keys
    assert set(metadata(first)) == {key.to_user_string() for key in expected}


def test_there_is_something_to_hear_and_to_read(first, graph: Graph):
    assert (graph.data / "scorecard" / "report.html").stat().st_size > 10_000
    assert "finetuned" in (graph.data / "scorecard" / "scorecard.md").read_text()
    assert metadata(first)["scorecard"]["listen"].endswith("report.ipynb")


def test_a_broken_clip_is_set_aside_and_shown(first, graph: Graph):
    shown = metadata(first)["studio/raw_dataset"]
    assert (shown["dagster/row_count"], shown["set_aside"]) == (12, 1)
    (row,) = shown["set_aside_rows"].records
    assert row.data["id"] == BROKEN
    assert "cannot be decoded" in row.data["reason"]
    assert checks(first)["studio/raw_dataset:few_set_aside"].passed


def test_every_check_was_made_and_none_that_blocks_failed(first, graph: Graph):
    specified = definitions_of(load_recipe(graph.recipe)).resolve_asset_graph().asset_check_keys
    found = checks(first)
    assert set(found) == {f"{key.asset_key.to_user_string()}:{key.name}" for key in specified}
    assert not [name for name, check in found.items() if not check.passed and check.severity.value == "ERROR"]
    assert all(check.description for check in found.values())


def test_assets_show_rows_schema_pictures_and_first_rows(first):
    shown = metadata(first)
    for stage in ("raw_dataset", "continuous_tags", "text_bins", "llm_descriptions", "dac_codes"):
        found = shown[f"studio/{stage}"]
        assert found["dagster/row_count"] == 12
        assert {"id"} <= {column.name for column in found["dagster/column_schema"].columns}
        assert len(found["first_rows"].records) == 4
    assert "data:image/png;base64," in shown["studio/continuous_tags"]["distributions"]
    assert "data:image/png;base64," in shown["finetuned_checkpoint"]["loss_curve"]


def test_columns_are_followed_from_the_clip_to_its_description(first):
    """Every column that a column comes from is one that its asset has."""
    shown = metadata(first)
    stages = ("raw_dataset", "continuous_tags", "text_bins", "llm_descriptions")
    of = {stage: shown[f"studio/{stage}"] for stage in stages}
    deps = {stage: dict(of[stage]["dagster/column_lineage"].deps_by_column) for stage in stages[1:]}
    columns = {stage: {column.name for column in page["dagster/column_schema"].columns} for stage, page in of.items()}
    for above, below in pairwise(stages):
        used = {(d.asset_key.to_user_string(), d.column_name) for found in deps[below].values() for d in found}
        assert used <= {(f"studio/{above}", name) for name in columns[above]}
        assert deps[below].keys() <= columns[below]
    path = [("llm_descriptions", "description"), ("text_bins", "speaking_rate"), ("continuous_tags", "speaking_rate_a")]
    for (stage, column), source in zip(path, ["speaking_rate", "speaking_rate_a", "audio"], strict=True):
        assert source in [found.column_name for found in deps[stage][column]]


def test_loss_was_shown_while_training_ran(first, graph: Graph):
    records = graph.instance.fetch_observations(dg.AssetKey("finetuned_checkpoint"), limit=100).records
    losses = [record.asset_observation.metadata["loss"].value for record in records if "loss" in _numbers(record)]
    assert losses
    assert all(isinstance(loss, float) for loss in losses)
    shown = metadata(first)["finetuned_checkpoint"]
    tables = {column: shown[f"held_out_by_{column}"].records for column in ("codebook", "style", "speaker")}
    assert {record.data["style"] for record in tables["style"]} <= {"happy", "sad"}
    assert all(record.data["checkpoint"] for records in tables.values() for record in records)
    assert shown["codebook_curves"].startswith("![held-out loss over update]")


def _numbers(record) -> dict:
    return record.asset_observation.metadata


def test_mlflow_has_one_run_per_measured_asset_nested_and_linked(first, graph: Graph):
    client = MlflowClient(f"sqlite:///{graph.data / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = {run.data.tags["dagster.asset"]: run for run in client.search_runs([experiment])}
    assert set(runs) == {"finetuned_checkpoint", "scorecard"}
    training, scores = runs["finetuned_checkpoint"], runs["scorecard"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert training.data.params["learning_rate"] == "0.001"
    assert len(client.get_metric_history(training.info.run_id, "loss")) == 4
    assert scores.data.tags["mlflow.parentRunId"] == training.info.run_id
    assert any(name.startswith("finetuned/") for name in scores.data.metrics)
    inputs = {entry.dataset.name: entry.dataset.digest for entry in training.inputs.dataset_inputs}
    assert inputs["training_set"] == versions(first)["training_set"]
    assert metadata(first)["finetuned_checkpoint"]["mlflow"].endswith(
        f"{training.info.run_id}?workflowType=machine_learning"
    )
    headlines = {"word_error_rate", "speaker_probe", "style_probe", "speaker_gender"}
    assert headlines <= training.data.metrics.keys()  # beside its parameters: one plot of both
    assert all(training.data.metrics[name] == scores.data.metrics[f"finetuned/{name}"] for name in headlines)
    assert {name.partition("/")[0] for name in scores.data.metrics} == {"finetuned"}
    assert not [name for name in scores.data.metrics if name.endswith(("_low", "_high"))]
    files = {file.path for file in client.list_artifacts(scores.info.run_id)}
    assert files >= {"scorecard.json", "scorecard.md", "report"}
    assert [file.path for file in client.list_artifacts(scores.info.run_id, "report")] == ["report/report.html"]


def test_a_second_run_reuses_everything(first, second):
    assert second.success
    assert computed(second) == set()
    assert versions(second) == versions(first)


def test_a_rebuild_gives_the_same_content(first, second, graph: Graph):
    heard = storage.read(graph.data / "evaluation_samples", ["id", "description", "audio"])
    again = graph.run(workspace={"rebuild": True})
    assert again.success
    assert "studio/raw_dataset" in computed(again)
    timed = {"evaluation_samples", "scorecard"}  # they also say how long generating took
    assert {name for name, version in versions(again).items() if version != versions(first)[name]} <= timed
    assert storage.read(graph.data / "evaluation_samples", ["id", "description", "audio"]) == heard


RELEASE = {
    "repo": "me/voice",
    "data_repo": "me/annotations",
    "licence": "Apache-2.0",
    "voice_consent": "Nobody spoke: these voices are buzzing tones.",
    "registered_as": "voice",
}


def release(graph: Graph) -> dg.ExecuteInProcessResult:
    """Materialize the asset that is in no job."""
    job = definitions_of(load_recipe(graph.recipe)).resolve_implicit_global_asset_job_def()
    chosen = [dg.AssetKey("release")]
    return job.execute_in_process(instance=graph.instance, raise_on_error=False, asset_selection=chosen)


@pytest.fixture
def hub(monkeypatch) -> Iterator[StandinHub]:
    with standin_hub(SECRET) as hub:
        monkeypatch.setenv("HF_TOKEN", SECRET)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def test_a_release_is_refused_where_a_licence_forbids_it(second, graph: Graph, hub: StandinHub):
    graph.edit(release=RELEASE, base={"licence": "CC-BY-NC-4.0"})
    refused = release(graph)
    graph.edit(base={"licence": "Apache-2.0"})
    (failure,) = [event.step_failure_data for event in refused.all_events if event.is_step_failure]
    assert "the base checkpoint (CC-BY-NC-4.0): allows no commercial use" in failure.user_failure_data.description
    assert not hub.repositories


def test_a_release_arrives_with_cards_from_lineage_and_the_token_is_nowhere(second, graph: Graph, hub: StandinHub):
    graph.edit(release=RELEASE)
    published = release(graph)
    assert published.success
    voice, annotations = hub.repositories["models/me/voice"], hub.repositories["datasets/me/annotations"]
    assert {"config.json", "model.safetensors", "README.md"} <= set(voice.files)
    assert set(annotations.files) == {"README.md", "studio/train.parquet"}
    card = voice.files["README.md"].decode()
    for told in (RELEASE["voice_consent"], "CC0-1.0", "learning_rate", versions(second)["training_set"]):
        assert told in card
    shown = metadata(published)["release"]
    assert shown["commit"] == voice.commits[-1]
    assert shown["registered_version"] == "1"
    client = MlflowClient(f"sqlite:///{graph.data / 'mlflow.db'}")
    assert client.get_model_version_by_alias("voice", "candidate").tags["hub_commit"] == voice.commits[-1]
    holding = [
        file
        for file in graph.recipe.parent.rglob("*")
        if file.is_file() and SECRET in file.read_bytes().decode("latin1")
    ]
    assert not holding


def test_a_sweep_goes_on_where_it_was_and_names_its_candidate(second, graph: Graph, monkeypatch):
    """The second variant's scoring fails at first: the first is not trained again, and MLflow's run is continued."""
    real = evaluating.variant_scores

    def scores(name, *given):
        if name == "longer":
            raise RuntimeError("the machine was switched off")
        return real(name, *given)

    before = graph.recipe.read_text()
    graph.edit(training={"variants": {"slow": {"learning_rate": 0.0005}, "longer": {"max_steps": 5}}})
    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "variant_scores", scores)
        assert not graph.run(job="sweep_variants").success
    result = graph.run(job="sweep_variants")
    graph.recipe.write_text(before)
    assert result.success, result
    shown = metadata(result)["sweep"]
    records = {record.data["variant"]: record.data for record in shown["variants"].records}
    assert set(records) == {"slow", "longer"}
    assert shown["candidate"] == shown["best_by_held_out_loss"] in records
    assert shown["best_by_adherence"] in records

    client = MlflowClient(f"sqlite:///{graph.data / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found = client.search_runs([experiment], "tags.`dagster.asset` LIKE 'sweep%'")
    runs = {run.data.tags["dagster.asset"]: run for run in found}
    assert (len(found), set(runs)) == (3, {"sweep", "sweep/slow", "sweep/longer"})
    assert {run.info.status for run in found} == {"FINISHED"}
    parent = runs.pop("sweep").info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent}
    steps = [point.step for point in client.get_metric_history(runs["sweep/longer"].info.run_id, "loss")]
    assert steps == [1, 2, 3, 4, 5]
    assert "style_probe" in runs["sweep/slow"].data.metrics
    named = client.get_model_version_by_alias("voice", "candidate")
    assert named.tags["variant"] == shown["candidate"]
    assert {file.path for file in client.list_artifacts(parent)} == {"comparison.md", "comparison.json"}


def test_the_nightly_schedule_rebuilds_what_an_edit_made_stale_and_nothing_else(second, graph: Graph):
    with scheduler(graph.instance) as daemon:
        daemon.switch_on("rebuild_what_changed", MONDAY)
        assert daemon.at(MONDAY + datetime.timedelta(hours=3, seconds=10)) == []
    graph.edit(describing={"seed": 7})
    with scheduler(graph.instance) as daemon:
        assert daemon.at(MONDAY + datetime.timedelta(days=1, hours=2)) == []
        assert daemon.at(MONDAY + datetime.timedelta(days=1, hours=3, seconds=10)) == [{"studio/llm_descriptions"}]
    graph.edit(describing={"seed": 456})


def test_the_weekly_schedule_asks_for_everything_on_mondays(first, graph: Graph):
    with scheduler(graph.instance) as daemon:
        daemon.switch_on("weekly_rebuild", MONDAY)
        assert daemon.at(MONDAY + datetime.timedelta(hours=1)) == []
        assert daemon.at(MONDAY + datetime.timedelta(hours=2, seconds=10)) == [{"*"}]
        assert daemon.at(MONDAY + datetime.timedelta(days=1, hours=2, seconds=10)) == []


def test_a_prompt_edit_recomputes_the_descriptions_and_what_is_below(second, graph: Graph):
    graph.edit(describing={"prompt": "named_v01"})
    edited = graph.run()
    assert edited.success
    assert computed(edited) == BELOW_DESCRIPTIONS


def test_a_value_typed_in_the_launchpad_holds_for_that_run(second, graph: Graph):
    changed = graph.run("training_set", "finetuned_checkpoint", trainer={"learning_rate": 0.002})
    assert computed(changed) == {"finetuned_checkpoint"}
    marked = {
        asset: {row.data["setting"]: row.data["recipe"] for row in found["settings"].records if row.data["recipe"]}
        for asset, found in metadata(changed).items()
    }
    assert marked == {"training_set": {}, "finetuned_checkpoint": {"training.learning_rate": "0.001"}}
    found = checks(changed)
    assert found["training_set:as_recipe"].passed
    warned = found["finetuned_checkpoint:as_recipe"]
    assert (warned.passed, warned.severity.value) == (False, "WARN")
    assert warned.description.startswith("training.learning_rate 0.002, in the recipe 0.001")


GONE = {"uri": "http://127.0.0.1:9"}  # nobody listens there


def linked_run(result, asset: str) -> str:
    return metadata(result)[asset]["mlflow"].split("/")[-1].partition("?")[0]


def losses(graph: Graph, run: str) -> list[int]:
    client = MlflowClient(f"sqlite:///{graph.data / 'mlflow.db'}")
    return [point.step for point in client.get_metric_history(run, "loss")]


def test_a_training_without_mlflow_is_finished_and_recorded_by_the_next_run(second, graph: Graph, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    wanted = ("finetuned_checkpoint", "evaluation_samples", "scorecard")
    alone = graph.run(*wanted, trainer={"learning_rate": 0.003}, tracking=GONE)
    assert alone.success
    assert computed(alone) == set(wanted)
    assert "could not be reached" in metadata(alone)["finetuned_checkpoint"]["mlflow"]
    assert "could not be reached" in metadata(alone)["scorecard"]["mlflow"]
    after = graph.run(*wanted, trainer={"learning_rate": 0.003})
    assert computed(after) == set()
    training, scores = (linked_run(after, name) for name in ("finetuned_checkpoint", "scorecard"))
    assert losses(graph, training) == [1, 2, 3, 4]
    client = MlflowClient(f"sqlite:///{graph.data / 'mlflow.db'}")
    assert client.get_run(scores).data.tags["mlflow.parentRunId"] == training

    (graph.data / "mlflow.db").unlink()
    anew = graph.run(*wanted, trainer={"learning_rate": 0.003})
    assert computed(anew) == set()
    assert losses(graph, linked_run(anew, "finetuned_checkpoint")) == [1, 2, 3, 4]
