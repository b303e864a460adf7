"""What a user meets in the real UI, driven in Debian's Chromium over a graph that was materialized headless before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT, Server, dagster_dev
from tests.tiny import BROKEN, write_tiny_recipe

CHROMIUM = shutil.which("chromium")
SECRET = "hf_canary_4711"
WAIT = 60_000  # milliseconds

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: install Debian's package `chromium` to run this journey"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A project folder of its own, all of the tiny recipe materialized in it, and `dagster dev` over it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "workspace.yaml", folder)
    recipe, home = write_tiny_recipe(folder), folder / "dagster_home"
    home.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    places = {"DAGSTER_HOME": str(home), "PARLER_DATA": "data", "HF_TOKEN": SECRET, "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("parler-assets")), "run", "--recipe", str(recipe)]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with dagster_dev(recipe, home, Path("data"), cwd=folder, HF_TOKEN=SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server: Server, request) -> Iterator:
    """A page of its own; PARLER_SCREENSHOTS=FOLDER keeps what it showed at the end."""
    page = browser.new_page(viewport={"width": 1600, "height": 1600})
    page.set_default_timeout(WAIT)
    yield page
    if os.environ.get("PARLER_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(os.environ["PARLER_SCREENSHOTS"]) / f"{request.node.name}.png")
    page.close()


def visit(page, server: Server, path: str, text: str) -> None:
    page.goto(server.url + path, wait_until="domcontentloaded")
    page.get_by_text(text).first.wait_for()


def test_lineage_shows_lanes_that_join(page, server: Server):
    groups = ",".join(f"global%40global%3A{group}" for group in ("studio", "field", "base", "training", "evaluation"))
    visit(page, server, f"/asset-groups?expanded={groups}", "training_set")
    for text in ("studio", "field", "continuous_tags", "text_bins", "scorecard"):
        assert page.get_by_text(text).first.is_visible()


def test_an_asset_shows_rows_schema_set_aside_clips_and_a_picture(page, server: Server):
    visit(page, server, "/assets/studio/raw_dataset", "Row count")
    page.get_by_text(BROKEN).first.wait_for()
    assert page.get_by_text("cannot be decoded").first.is_visible()
    assert page.get_by_text("bytes as published").is_visible()
    visit(page, server, "/assets/studio/continuous_tags", "distributions")
    page.get_by_text("Show Markdown").first.click()
    picture = page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_checks_say_what_they_found(page, server: Server):
    visit(page, server, "/assets/scorecard?view=checks&checkDetail=above_chance", "above_chance")
    page.get_by_text("What was asked for is heard more often than chance.").first.wait_for()
    page.get_by_text("Evaluation result").wait_for()


def test_loss_was_kept_as_points_on_the_assets_page(page, server: Server):
    visit(page, server, "/assets/finetuned_checkpoint?view=events", "Observed")
    visit(page, server, "/assets/finetuned_checkpoint", "loss_curve")


def test_the_report_is_heard_inside_the_ui(page, server: Server):
    visit(page, server, "/assets/scorecard", "listen")
    address = page.locator("a[href*='/notebook']").first.get_attribute("href")
    page.goto(address if address.startswith("http") else server.url + address)
    page.locator("audio").first.wait_for(state="attached")
    ready = (
        "audio => { audio.load(); return new Promise(done => { audio.oncanplaythrough = () => done(audio.duration) }) }"
    )
    assert page.locator("audio").first.evaluate(ready) > 0.1


def test_the_launchpad_has_the_recipes_values_and_one_is_changed_for_a_run(page, server: Server):
    visit(page, server, "/assets/finetuned_checkpoint", "Materialize")
    page.get_by_role("button", name="Materialize").first.click(modifiers=["Shift"])
    page.locator(".CodeMirror").first.wait_for()
    page.wait_for_function("document.querySelector('.CodeMirror').CodeMirror.getValue().includes('learning_rate')")
    shown = page.evaluate("document.querySelector('.CodeMirror').CodeMirror.getValue()")
    assert "learning_rate: 0.001" in shown
    changed = shown.replace("learning_rate: 0.001", "learning_rate: 0.002")
    page.evaluate("value => document.querySelector('.CodeMirror').CodeMirror.setValue(value)", changed)
    page.get_by_text("No errors").wait_for()


def test_materialize_by_click_gives_a_green_run(page, server: Server):
    visit(page, server, "/assets/studio/raw_dataset", "Materialize")
    before = runs(server)
    page.get_by_role("button", name="Materialize").first.click()
    page.wait_for_timeout(1000)
    (run,) = _until_new(server, before)
    assert server.finished(run) == "SUCCESS"
    visit(page, server, f"/runs/{run}", "Success")


def test_a_schedule_is_switched_on(page, server: Server):
    visit(page, server, "/automation", "weekly_rebuild")
    page.locator("input[type=checkbox][id^=checkbox]").last.evaluate("box => box.click()")
    page.wait_for_timeout(2000)
    assert "RUNNING" in schedules(server).values()


def test_no_page_answer_or_database_holds_the_secret(page, server: Server):
    visit(page, server, "/locations/parler_assets/resources/tracking", "tracking")
    assert SECRET not in page.content()
    for file in [*server.home.rglob("*"), *(server.home.parent / "data").rglob("*")]:
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def runs(server: Server) -> set[str]:
    answer = server.ask("{ runsOrError(limit: 50) { ... on Runs { results { runId } } } }")
    return {run["runId"] for run in answer["runsOrError"]["results"]}


def _until_new(server: Server, before: set[str]) -> set[str]:
    from tests.server import until

    return until(lambda: runs(server) - before, 60)


def schedules(server: Server) -> dict[str, str]:
    selector = '{repositoryName: "__repository__", repositoryLocationName: "parler_assets"}'
    answer = server.ask(
        f"{{ schedulesOrError(repositorySelector: {selector}) "
        "{ ... on Schedules { results { name scheduleState { status } } } } }"
    )
    return {found["name"]: found["scheduleState"]["status"] for found in answer["schedulesOrError"]["results"]}
