"""What a user meets in the real UI, driven in Debian's Chromium over a graph that was materialized headless before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import yaml
from filelock import FileLock

from parler_assets.resources.workspace import INSTANCE_SETTINGS
from tests.support.browser import NEEDED, page, visit, window
from tests.support.server import ROOT, Server, dagster_dev, until
from tests.support.terminal import drawn, in_terminal
from tests.support.tiny import BROKEN, write_tiny_recipe

SECRET = "hf_canary_4711"
pytestmark = NEEDED
__all__ = ["page", "window"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A project folder of its own, all of the tiny recipe materialized in it, and `dagster dev` over it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "workspace.yaml", folder)
    recipe, home = write_tiny_recipe(folder), folder / "dagster_home"
    home.mkdir()
    shutil.copy(INSTANCE_SETTINGS, home)
    places = {"DAGSTER_HOME": str(home), "PARLER_DATA": "data", "HF_TOKEN": SECRET, "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("parler-assets")), "run", "--recipe", str(recipe)]
    code, shown = in_terminal(command, folder, places)
    assert code == 0, shown
    (folder / "terminal.txt").write_text(shown)
    with dagster_dev(recipe, home, Path("data"), cwd=folder, HF_TOKEN=SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def shown(server: Server) -> list[str]:
    """What the terminal showed while the graph was materialized."""
    return drawn((server.home.parent / "terminal.txt").read_text())


def test_the_terminal_shows_the_training_as_a_bar_with_loss_rate_and_time_left(shown: list[str]):
    training = [line for line in shown if line.lstrip().startswith("finetuned_checkpoint") and "|" in line]
    assert any(re.search(r"4 of 4 updates.* loss [\d.]+.* learning rate [\d.e-]+.* left", line) for line in training)
    assert any("held-out loss" in line for line in training)


def test_the_terminal_says_when_each_step_starts_and_how_long_it_took_and_nothing_else(shown: list[str]):
    assert "  · studio/continuous_tags starts" in shown
    assert any(re.fullmatch(r"  ✓ studio/continuous_tags +12 rows, [\d.]+ (s|min \d+ s)", line) for line in shown)
    (total,) = (line for line in shown if re.match(r"Run [0-9a-f]{8}: 13 assets", line))
    assert re.search(r"\d s$", total)
    known = re.compile(r"  [·✓!] |  \S+ +\d+% \||  \(|Run |[A-Z][a-z' ]+: ")
    assert [line for line in shown if not known.match(line)] == []
    assert SECRET not in "".join(shown)


def test_the_run_ends_with_a_short_verdict_and_a_command_that_speaks_when_pasted(shown: list[str], server: Server):
    verdict = shown[next(n for n, line in enumerate(shown) if line.startswith("Run ")) + 1 :]
    assert len(verdict) <= 9
    assert [line for line in verdict if line.startswith(("Better than its base:", "Worse than its base:"))][1:]
    (command,) = (line.removeprefix("Say something:").strip() for line in verdict if line.startswith("Say something:"))
    folder = server.home.parent
    places = {"DAGSTER_HOME": str(server.home), "PARLER_DATA": "data", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, shell=True, cwd=folder, env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert soundfile.info(folder / "speech.wav").duration > 0.1


def test_lineage_shows_lanes_that_join(page, server: Server):
    groups = ",".join(f"global%40global%3A{group}" for group in ("studio", "field", "base", "training", "evaluation"))
    visit(page, server, f"/asset-groups?expanded={groups}", "training_set")
    for text in ("studio", "field", "continuous_tags", "text_bins", "scorecard"):
        assert page.get_by_text(text).first.is_visible()


def test_an_asset_shows_rows_schema_and_set_aside_clips(page, server: Server):
    visit(page, server, "/assets/studio/raw_dataset", "Row count")
    page.get_by_text(BROKEN).first.wait_for()
    assert page.get_by_text("cannot be decoded").first.is_visible()
    assert page.get_by_text("bytes as published", exact=True).is_visible()


def test_distributions_are_drawn(page, server: Server):
    visit(page, server, "/assets/studio/continuous_tags", "distributions")
    page.locator("tr", has_text="distributions").get_by_text("Show Markdown").click()
    picture = page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    page.wait_for_function("document.querySelector(\"img[src^='data:image/png']\").naturalWidth > 300")


def test_checks_say_what_they_found(page, server: Server):
    visit(page, server, "/assets/scorecard?view=checks&checkDetail=above_chance", "above_chance")
    page.get_by_text("What was asked for is heard more often than chance.").first.wait_for()
    page.get_by_text("chance is").first.wait_for()
    visit(page, server, "/assets/studio/raw_dataset?view=checks&checkDetail=few_set_aside", "few_set_aside")
    page.get_by_text("no problem found").first.wait_for()


def test_a_failing_check_says_what_is_wrong_and_what_to_do(page, server: Server):
    visit(page, server, "/assets/studio/text_bins?view=checks&checkDetail=edges_suit", "No outermost bin holds more")
    page.get_by_text(re.compile(r"\(1\) .* of the clips are .* \(2\) .* lower binning.tolerances")).first.wait_for()
    page.locator("tr", has_text="each").get_by_text("Show Markdown").click()
    page.get_by_role("listitem").get_by_text("the outermost bin").nth(1).wait_for()


def test_loss_is_drawn_on_the_assets_page(page, server: Server):
    visit(page, server, "/assets/finetuned_checkpoint", "loss_curve")
    page.get_by_role("button", name="Plots").or_(page.get_by_text("Plots", exact=True)).first.click()
    page.get_by_text("eval_loss").first.wait_for()
    page.get_by_text("frames_per_second").first.wait_for()


def test_the_report_is_heard_inside_the_ui(page, server: Server):
    visit(page, server, "/assets/scorecard", "listen")
    address = page.locator("a[href*='/notebook']").first.get_attribute("href")
    page.goto(address if address.startswith("http") else server.url + address)
    player = page.locator("audio[src^='data:audio']").first
    player.wait_for(state="attached")
    player.evaluate("audio => { audio.preload = 'auto'; audio.load(); }")
    until(lambda: player.evaluate("audio => audio.readyState == 4 && audio.duration > 0.1"), 60)


def test_the_launchpad_documents_the_recipes_values_and_takes_one_for_a_run(page, server: Server):
    visit(page, server, "/assets/finetuned_checkpoint", "Materialize")
    page.get_by_role("button", name="Materialize").first.click(modifiers=["Shift"])
    page.locator(".CodeMirror").first.wait_for()
    page.wait_for_function("document.querySelector('.CodeMirror').CodeMirror.getValue().includes('learning_rate')")
    shown = page.evaluate("document.querySelector('.CodeMirror').CodeMirror.getValue()")
    assert "learning_rate: 0.001" in shown
    typed = "value => document.querySelector('.CodeMirror').CodeMirror.setValue(value)"
    page.evaluate(typed, shown.replace("learning_rate: 0.001", "learning_rate: fast"))
    page.get_by_text("of type").first.wait_for()
    page.evaluate(typed, shown.replace("learning_rate: 0.001", "learning_rate: 0.002"))
    page.get_by_text("No errors").wait_for()


def test_a_prompt_edit_is_shown_and_rebuilding_what_is_unsynced_touches_nothing_else(page, server: Server):
    recipe = server.home.parent / "tiny.yaml"
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"describing": {"prompt": "named_v01"}}, sort_keys=False))
    server.ask('mutation { reloadRepositoryLocation(repositoryLocationName: "parler_assets") { __typename } }')
    visit(page, server, "/asset-groups", "Materialize all")
    before = runs(server)
    page.locator("button").last.click()  # the menu beside "Materialize all"
    page.get_by_text("Materialize unsynced").first.click()
    page.get_by_role("button", name=re.compile(r"Materialize \d+ asset")).click()
    (run,) = until(lambda: runs(server).keys() - before.keys(), 120)
    assert server.finished(run) == "SUCCESS"
    assert runs(server)[run] == {"studio/llm_descriptions"}
    visit(page, server, f"/runs/{run}", "Success")


def test_a_run_is_terminated_and_goes_on_from_its_failure_by_the_buttons(page, server: Server):
    """A step that waits for another process is a step that is running for as long as the test wants."""
    with FileLock(server.home.parent / "data" / "tiny" / "studio" / "llm_descriptions" / ".lock"):
        run = server.launch("everything", assets=["studio/text_bins", "studio/llm_descriptions"])
        until(lambda: steps(server, run).get("studio__llm_descriptions") == "IN_PROGRESS", 120)
        visit(page, server, f"/runs/{run}", "studio__text_bins")
        page.get_by_role("button", name="Terminate").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
        assert server.finished(run) == "CANCELED"
    before = runs(server)
    visit(page, server, f"/runs/{run}", "Canceled")
    page.get_by_role("button", name="Re-execute").locator("xpath=following::button").first.click()  # its menu
    page.get_by_role("menuitem", name="From failure").click()
    (again,) = until(lambda: runs(server).keys() - before.keys(), 120)
    assert server.finished(again) == "SUCCESS"
    assert set(steps(server, again)) == {"studio__llm_descriptions", "check_studio_llm_descriptions"}
    visit(page, server, f"/runs/{again}", "Success")


def test_a_schedule_is_switched_on(page, server: Server):
    visit(page, server, "/locations/parler_assets/schedules/weekly_rebuild", "weekly_rebuild")
    page.locator("input[type=checkbox]").first.wait_for(state="attached")
    page.locator("input[type=checkbox]").first.evaluate("box => box.click()")
    until(lambda: schedules(server)["weekly_rebuild"] == "RUNNING", 60)
    assert schedules(server)["rebuild_what_changed"] == "STOPPED"


def test_no_page_answer_or_file_holds_the_secret(page, server: Server):
    visit(page, server, "/locations/parler_assets/resources", "tracking")
    for text in ("workspace", "accelerator", "trainer"):
        assert page.get_by_text(text).first.is_visible()
    assert SECRET not in page.content()
    for file in [*server.home.rglob("*"), *(server.home.parent / "data").rglob("*")]:
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def steps(server: Server, run: str) -> dict[str, str]:
    """Step to its status, for the steps that have begun."""
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { stepStats { stepKey status } } } }"
    found = server.ask(query, id=run)["runOrError"]["stepStats"]
    return {step["stepKey"]: step["status"] for step in found if step["status"]}


def runs(server: Server) -> dict[str, set[str]]:
    """Run to the assets it was started for."""
    fields = "runId assetSelection { path }"
    answer = server.ask(f"{{ runsOrError(limit: 50) {{ ... on Runs {{ results {{ {fields} }} }} }} }}")
    found = answer["runsOrError"]["results"]
    return {run["runId"]: {"/".join(key["path"]) for key in run["assetSelection"] or []} for run in found}


def schedules(server: Server) -> dict[str, str]:
    selector = '{repositoryName: "__repository__", repositoryLocationName: "parler_assets"}'
    answer = server.ask(
        f"{{ schedulesOrError(repositorySelector: {selector}) "
        "{ ... on Schedules { results { name scheduleState { status } } } } }"
    )
    return {found["name"]: found["scheduleState"]["status"] for found in answer["schedulesOrError"]["results"]}
