"""Each thing that can be wrong with a machine is found, and comes with a remedy."""

from __future__ import annotations

import socket
from pathlib import Path

import dagster as dg
import pytest

from parler_assets.cli import doctor
from parler_assets.recipe import Recipe, load_recipe
from tests.support.standin_hub import Repository, standin_hub


def recipe(**changes: dict) -> Recipe:
    """The sample recipe with some of its sections changed."""
    content = load_recipe("sample").model_dump(mode="json")
    return Recipe.model_validate({**content, **{name: content[name] | values for name, values in changes.items()}})


def test_nothing_is_wrong_with_the_sample_recipe(tmp_path: Path):
    findings = list(doctor.examine(load_recipe("sample"), tmp_path, tmp_path / "data", {}))
    looked_at = {finding.name for finding in findings}
    assert {"Python", "packages", "DAGSTER_HOME", "GPU slots", "disk", "GPU", "licences", "Hub"} <= looked_at
    sound = ("Python", "GPU slots", "licences", "Hub", "doctor")
    assert not [finding for finding in findings if finding.name in sound and finding.remedy]


def test_a_taken_port(tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        assert f"--port {number + 1}" in doctor.port("dev", number).remedy
    assert not doctor.port("dev", number).remedy


def test_a_slot_of_a_run_that_ended(tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1}}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(dg.job(name="everything")(lambda: None))
        instance.report_run_failed(run)
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "training")
    found = doctor.slots(tmp_path)
    assert run.run_id[:8] in found.found
    assert "Concurrency" in found.remedy


@pytest.mark.parametrize(("gated", "word"), [(True, "accept its terms"), (False, "")])
def test_a_model_whose_terms_were_not_accepted(monkeypatch, gated: bool, word: str):
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        hub.repositories["models/parler-tts/mini"] = Repository(gated=gated)
        (found,) = doctor.hub(recipe(base={"repo": "parler-tts/mini"}))
    assert word in found.remedy
    assert bool(found.remedy) == gated


def test_a_hub_that_cannot_be_reached_and_a_wrong_name(monkeypatch):
    with standin_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        assert "correct the recipe" in doctor.hub(recipe(base={"repo": "parler-tts/typo"}))[0].remedy
    assert "network" in doctor.hub(recipe(base={"repo": "parler-tts/mini"}))[0].remedy


def test_unknown_licences_and_bfloat16_without_a_gpu(monkeypatch):
    monkeypatch.setattr("parler_assets.resources.accelerator.gpus", lambda: 0)
    expresso = load_recipe("expresso")
    assert "jenny, the base" in doctor.licences(expresso).found
    assert "released" in doctor.licences(expresso).remedy
    assert doctor.memory(expresso).remedy
    assert not doctor.memory(load_recipe("sample")).remedy
