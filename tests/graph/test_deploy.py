"""What is deployed elsewhere, as far as it can be looked at here: settings, ports, users, images, tags."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest
import yaml

from parler_assets.definitions import definitions_of
from parler_assets.recipe import load_recipe
from parler_assets.resources import executor as cluster
from parler_assets.resources.workspace import INSTANCE_SETTINGS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ON_GPU = {
    *(f"expresso/{stage}" for stage in ("continuous_tags", "llm_descriptions", "dac_codes")),
    *(f"{corpus}/dac_codes" for corpus in ("jenny", "libritts_clean", "libritts_other")),
    *("finetuned_checkpoint", "evaluation_samples", "scorecard"),
}


def load(name: str) -> dict:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def test_the_instance_of_containers_is_ours_with_its_storage_in_postgres():
    here = yaml.safe_load(INSTANCE_SETTINGS.read_text(encoding="utf-8"))
    there = load("dagster.yaml")
    assert there.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_PG_URL"}}}
    assert there == here


def test_containers_of_ours_are_not_root_and_open_only_to_this_machine():
    services = load("compose.yaml")["services"]
    assert set(services) == {"postgres", "code", "webserver", "daemon", "mlflow"}
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if name != "postgres":
            assert service["user"] == "1000:1000"
            assert service["cap_drop"] == ["ALL"]


def test_secrets_are_not_written_down_and_reach_only_who_needs_them():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"POSTGRES_PASSWORD: (.*)", text)) == {"${POSTGRES_PASSWORD:?write it to deploy/.env}"}
    services = load("compose.yaml")["services"]
    assert [name for name, service in services.items() if "HF_TOKEN" in service["environment"]] == ["code"]
    assert not any("PASSWORD" in str(service.get("command")) for service in services.values())


def test_the_gpu_is_reserved_for_the_container_that_runs_are_started_in():
    (device,) = load("compose.gpu.yaml")["services"]["code"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose to check the files with")
def test_compose_accepts_both_files(tmp_path: Path):
    command = ["docker-compose", "-f", "deploy/compose.yaml", "-f", "deploy/compose.gpu.yaml", "config", "-q"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "POSTGRES_PASSWORD": "x"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_the_image_copies_only_files_that_are_there():
    sources = re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    wanted = [name for line in sources for name in line.split()]
    assert wanted
    assert not [name for name in wanted if not (ROOT / name).exists()]
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(wanted) == let_in


def test_steps_on_a_gpu_ask_kubernetes_for_one(monkeypatch):
    asked = {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 2}}}}
    monkeypatch.setenv("PARLER_K8S_GPUS", "2")
    defs = definitions_of(load_recipe("expresso"))
    assets = [found for found in defs.assets if isinstance(found, dg.AssetsDefinition)]
    tags = {found.key.to_user_string(): found.op.tags.get("dagster-k8s/config") for found in assets}
    assert {name for name, value in tags.items() if value} == ON_GPU
    assert yaml.safe_load(tags["jenny/dac_codes"]) == asked
    monkeypatch.setenv("PARLER_K8S_GPUS", "0")
    assert cluster.gpu_tags() == {}


@pytest.mark.parametrize(("name", "value"), [("PARLER_EXECUTOR", "celery"), ("PARLER_K8S_GPUS", "one")])
def test_a_setting_that_means_nothing_is_refused(monkeypatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(cluster.ClusterError, match=f"{name}={value}"):
        definitions_of(load_recipe("sample"))


@pytest.mark.skipif(importlib.util.find_spec("dagster_k8s") is None, reason="no dagster-k8s: the extra `k8s`")
def test_dagster_k8s_understands_the_tags_and_makes_step_pods(monkeypatch):
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    config = UserDefinedDagsterK8sConfig.from_dict(cluster.gpu_tags()["dagster-k8s/config"])
    assert config.container_config["resources"]["limits"] == {"nvidia.com/gpu": 1}
    monkeypatch.setenv("PARLER_EXECUTOR", "k8s")
    executor = definitions_of(load_recipe("sample")).executor
    assert isinstance(executor, dg.ExecutorDefinition)
    assert executor.name == "k8s"


def test_kubernetes_values_name_our_settings_and_mount_what_is_claimed():
    values = load("k8s/values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["codeServerArgs"][:2] == ["-m", "parler_assets.definitions"]
    assert deployment["env"]["PARLER_EXECUTOR"] in cluster.EXECUTORS
    assert all(isinstance(value, str) for value in deployment["env"].values())
    mounted = {mount["name"] for mount in deployment["volumeMounts"]}
    assert mounted == {volume["name"] for volume in deployment["volumes"]}
    claim = next(v["persistentVolumeClaim"]["claimName"] for v in deployment["volumes"] if v["name"] == "data")
    assert claim == load("k8s/data.yaml")["metadata"]["name"]
    assert deployment["podSecurityContext"]["runAsNonRoot"]
    assert values["concurrency"]["enabled"], "the chart leaves the pools out otherwise"
    assert values["concurrency"]["pools"] == {"granularity": "op", "defaultLimit": 1}
