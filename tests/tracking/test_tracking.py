"""The MLflow record, on real SQLite stores."""

import multiprocessing
import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from parler_assets.resources.tracking import Tracking
from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.metric_log import Logbook
from parler_assets.tracking.run import WORK, Run, flat
from parler_assets.tracking.store import Store, TrackingError


def store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'mlflow.db'}", "sample", folder)


def tags(root: str = "root", asset: str = "scorecard") -> dict[str, str]:
    return {"dagster.root_run_id": root, "dagster.asset": asset}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Store:
    """One database for the tests that may share it: creating one takes seconds."""
    return store(tmp_path_factory.mktemp("mlflow"))


def test_a_run_keeps_params_metrics_inputs_and_artifacts(shared: Store, tmp_path: Path):
    (tmp_path / "report.html").write_text("<p>heard</p>")
    with Run(shared, "training", tags("everything")).recording() as run:
        run.params({"learning_rate": 0.00008, "lora": {"rank": 16}, "url": None})
        for step in range(3):
            run.metrics({"loss": 4.0 - step, "epoch": "one", "nan": float("nan")}, step)
        run.input("training_set", tmp_path, "abc123", "train")
        run.artifact(tmp_path / "report.html", "report")
    found = shared.client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"learning_rate": "8e-05", "lora.rank": "16"}
    assert found.data.metrics == {"loss": 2.0}
    assert [point.value for point in shared.client.get_metric_history(run.id, "loss")] == [4.0, 3.0, 2.0]
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("training_set", "abc123")
    assert [file.path for file in shared.client.list_artifacts(run.id, "report")] == ["report/report.html"]


def fail_after_recording(run: Run) -> None:
    with run.recording():
        run.params({"epochs": 8})
        raise RuntimeError("out of memory")


def test_a_retry_finds_its_run_again(shared: Store):
    first = Run(shared, "training", tags("retried"))
    with pytest.raises(RuntimeError, match="memory"):
        fail_after_recording(first)
    assert shared.client.get_run(first.id).info.status == "FAILED"
    with Run(shared, "training", tags("retried")).recording() as second:
        second.params({"epochs": 8, "seed": 1})
    assert second.id == first.id
    assert shared.client.get_run(first.id).info.status == "FINISHED"


def test_other_assets_and_other_runs_get_runs_of_their_own(shared: Store):
    ids = {Run(shared, "x", tags(root, asset)).id for root in ("one", "two") for asset in ("a", "b")}
    assert len(ids) == 4


def test_nothing_recorded_creates_no_run(shared: Store):
    with Run(shared, "x", tags("silent")).recording():
        pass
    assert not shared.client.search_runs([shared.experiment()], "tags.`dagster.root_run_id` = 'silent'")


def test_settings_and_inputs_are_there_before_the_first_metric(shared: Store):
    seen = []
    with Run(shared, "x", tags("described")).recording(lambda run: run.params({"seed": 456})) as run:
        run.metrics({"loss": 4.0})
        seen.append(shared.client.get_run(run.id).data.params)
    assert seen == [{"seed": "456"}]


def test_a_locked_database_says_so_and_the_next_attempt_is_recorded(tmp_path: Path, monkeypatch):
    kept = store(tmp_path)
    with Run(kept, "x", tags("before")).recording() as run:
        run.metrics({"value": 1})
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TrackingError, match=r"locked.*materialize this asset again"):
        Run(store(tmp_path), "x", tags("locked")).id  # noqa: B018
    holder.rollback()
    holder.close()
    with Run(store(tmp_path), "x", tags("locked")).recording() as run:
        run.metrics({"value": 2})
    assert kept.client.get_run(run.id).data.metrics == {"value": 2}


def test_a_server_that_is_gone_is_named_without_its_password(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = Store("http://user:canary@127.0.0.1:9", "sample", tmp_path)
    with pytest.raises(TrackingError, match=r"MLflow \(http://127.0.0.1:9\)") as error:
        Run(gone, "x", tags()).id  # noqa: B018
    assert "canary" not in str(error.value)


LINES = [{"step": step, "time": 1.5 + step, "loss": 4.0 - step, "eval_style/sad": 5.0} for step in range(6)]


def values(store: Store, run: str, key: str = "loss") -> list[tuple[int, float, int]]:
    return [(p.step, p.value, p.timestamp) for p in store.client.get_metric_history(run, key)]


def test_a_log_is_recorded_once_though_mlflow_was_gone_and_the_training_resumed(shared: Store, monkeypatch):
    """Gone after two lines, half of a batch written; killed; resumed at step 2, measured again by another process."""
    work = {WORK: "finetuned_checkpoint:abc"}
    log, real = Logbook(Run(shared, "x", tags("first") | work)), shared.client.log_batch
    for line in LINES[:2]:
        log.add(line)

    def half(run, metrics):
        real(run, metrics[:2])  # `step` and `loss`
        raise MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(shared.client, "log_batch", half)
        with pytest.raises(TrackingError):
            log.add(LINES[2])
    log.add(LINES[3])  # too early to ask again: it waits
    assert [step for step, *_ in values(shared, log.run.id)] == [0, 1, 2]

    resumed = Logbook(Run(shared, "x", tags("second") | work))
    for line in LINES[2:4]:
        resumed.add(line)
    with resumed.run.recording():
        assert resumed.flush(LINES) == log.run.id
    expected = [(step, 4.0 - step, 1500 + 1000 * step) for step in range(6)]
    assert values(shared, log.run.id) == expected
    assert [step for step, *_ in values(shared, log.run.id, "eval_style/sad")] == list(range(6))
    assert Run(shared, "x", tags("third") | work).id != log.run.id  # that one is finished: this is another


def test_a_checkpoint_is_registered_once_and_the_alias_moves(shared: Store, tmp_path: Path):
    run = Run(shared, "x", tags("registered")).id
    first, second = ({"data_version": version} for version in ("one", "two"))
    assert [shared.register("voices", tmp_path, run, of) for of in (first, second, first)] == ["1", "2", "1"]
    assert shared.client.get_model_version_by_alias("voices", "candidate").version == 1


def test_nested_settings_become_dotted_names():
    assert flat({"a": {"b": 1, "c": None}, "d": "e"}) == {"a.b": 1, "d": "e"}


def _record(folder: Path, number: int) -> None:
    with Run(store(folder), "x", tags(str(number))).recording() as run:
        run.metrics({"value": number})


def test_two_processes_may_create_the_database_at_once(tmp_path: Path):
    """Without the lock both run the migrations, and one dies of `table already exists`."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record, args=(tmp_path, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = [e.experiment_id for e in client.search_experiments() if e.name == "sample"]
    assert len(client.search_runs([experiment])) == 2


def test_an_asset_links_to_its_run_and_back(tmp_path: Path):
    """A failing step that is retried within one Dagster run leaves a single, finished MLflow run."""

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def measured(context: dg.AssetExecutionContext, workspace: Workspace, tracking: Tracking) -> dg.MaterializeResult:
        with tracking.run(context, workspace).recording() as run:
            run.metrics({"attempt": context.retry_number})
            if not context.retry_number:
                raise RuntimeError("first attempt")
        return dg.MaterializeResult(metadata={"mlflow": tracking.link(run.id, workspace)})

    resources = {"workspace": Workspace(recipe="mine", folder=str(tmp_path)), "tracking": Tracking()}
    result = dg.materialize([measured], resources=resources)
    link = result.asset_materializations_for_node("measured")[0].metadata["mlflow"].value
    client = MlflowClient(f"sqlite:///{tmp_path / 'mine' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert link.partition("?")[0].endswith(f"/runs/{run.info.run_id}")
    assert run.info.status == "FINISHED"
    assert f"/runs/{result.run_id}" in run.data.tags["mlflow.note.content"]
