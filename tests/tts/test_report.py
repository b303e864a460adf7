"""The listening report: complete without a network, readable without a script, and working in a real browser."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from parler_assets.speech.audio import Clip
from parler_assets.tts.report.cells import cells
from parler_assets.tts.report.findings import cannot_show, failures
from parler_assets.tts.report.picture import HEIGHT, WIDTH, spectrogram
from parler_assets.tts.report.report import write_report
from parler_assets.tts.scoring.contour import pitch_contour
from parler_assets.tts.scoring.statistics import Missing, proportion
from tests.support.evaluation_samples import buzz, sample_rows, write_samples

CHROMIUM = shutil.which("chromium")


def scorecard(folder, rows: list[dict]) -> dict:
    """A made-up scorecard: gender always right, style as good as chance."""
    scores = [
        proportion("speaker_gender", "finetuned", [True] * 12),
        proportion("speaker_gender", "chance", [True] * 6 + [False] * 6),
        proportion("style_probe", "finetuned", [True] * 6 + [False] * 6),
        proportion("style_probe", "chance", [True] * 6 + [False] * 6),
    ]
    card = {
        "scores": [score.as_dict() for score in scores],
        "missing": [vars(Missing("naturalness", "finetuned", "no weights"))],
        "differences": [],
        "worse_than_base": [],
        "confusion": {"finetuned/style": {"labels": ["happy", "sad"], "counts": [[3, 3], [3, 3]], "unmeasured": 0}},
    }
    folder.mkdir()
    (folder / "scorecard.json").write_text(json.dumps(card))
    lines = [
        {
            "key": row["id"],
            "speaking_rate": row["rate"],
            "rate_within_one": True if row["rate"] else None,
            "style_heard": "sad",
            "style_hit": row["style"] == "sad",
            "utterance_pitch_mean": 110.0,
            "gender_hit": True,
        }
        for row in rows
    ]
    (folder / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return card


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rows = sample_rows()
    write_samples(folder / "samples", rows)
    scorecard(folder / "scorecard", rows)
    return write_report(folder / "samples", folder / "scorecard")


def test_page_holds_every_sample_and_fetches_nothing(report):
    html = report.html.read_text()
    assert html.count("<audio controls preload") == len(sample_rows())
    assert html.count("<img") == len(sample_rows())
    fetched = re.findall(r'(?:src|href)\s*=\s*"(?!data:)[^"]+"|url\((?!data:)[^)]+\)', html)
    assert fetched == []


def test_text_is_escaped(report):
    html = report.html.read_text()
    assert "Open the &lt;door&gt; &amp; wait." in html
    assert "<door>" not in html


def test_page_says_where_the_model_fails_and_what_it_cannot_show(report):
    html = report.html.read_text()
    assert "<li>Style (probe): 0.50" in html
    assert "cannot be told from chance" in html
    assert "Gender by pitch: 1.00 [" not in html.split("What this page cannot show")[0]
    assert "Not scored: naturalness: no weights" in html


@pytest.mark.parametrize(
    ("found", "met", "shown"),
    [
        ("slightly slowly", True, ("rate", "slightly slowly, next to quite slowly", "hit")),
        ("quite fast", False, ("rate", "quite fast, asked quite slowly", "miss")),
        ("quite slowly", True, ("rate", "quite slowly", "hit")),
    ],
)
def test_a_neighbour_of_what_was_asked_reads_as_met_and_another_label_as_missed(tmp_path, found, met, shown):
    rows = [row for row in sample_rows(("happy",)) if row["rate"] == "quite slowly"]
    write_samples(tmp_path, rows)
    measured = {row["id"]: {"speaking_rate": found, "rate": row["rate"], "rate_within_one": met} for row in rows}
    players = [player for cell in cells(tmp_path, measured) for take in cell.takes for player in take.players]
    assert len(players) == len(rows)
    assert all(player.facts == [shown] for player in players)


def test_real_recordings_that_are_strange_to_the_probes_are_explained():
    def card(high):
        both = {"metric": "style_probe", "value": 0.5, "low": 0.4, "note": ""}
        return {"scores": [both | {"system": "real", "high": high}, both | {"system": "copy", "high": 0.9}]}

    assert any("Compare with “copy”" in line for line in cannot_show(card(0.3)))
    assert not any("Compare with “copy”" in line for line in cannot_show(card(0.6)))


def test_notebook_is_one_cell_showing_the_same_page(report):
    content = json.loads(report.notebook.read_text())
    assert content["nbformat"] == 4
    (cell,) = content["cells"]
    assert "".join(cell["outputs"][0]["data"]["text/html"]) in report.html.read_text()


def test_dagsters_notebook_page_keeps_sounds_and_script(report):
    nbformat, nbconvert = pytest.importorskip("nbformat"), pytest.importorskip("nbconvert")
    shown, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.read(report.notebook, as_version=4))
    assert shown.count("data:audio/mpeg;base64,") == len(sample_rows())
    assert "document.currentScript.closest" in shown


def test_samples_without_scores_still_make_a_page(tmp_path):
    write_samples(tmp_path / "samples", sample_rows(("happy",)))
    paths = write_report(tmp_path / "samples", tmp_path / "report", "A beside B", "A stands where it says fine-tuned.")
    page = paths.html.read_text()
    assert "have not been scored yet" in page
    assert "A stands where it says fine-tuned." in page
    assert "The fine-tuned checkpoint beside its base" not in page


def test_silent_and_endless_samples_are_named():
    player = type("P", (), {"system": "finetuned", "silent": True, "ended": False})()
    cell = type("C", (), {"takes": [type("T", (), {"players": [player]})()]})()
    found = failures(None, [cell], [{"id": "finetuned/x", "reason": "no audio"}])
    assert [line.split(" samples")[0] for line in found[:3]] == [
        "1 of 1 fine-tuned",
        "1 of 1 fine-tuned",
        "1",
    ]


@pytest.mark.parametrize("pitch", [95.0, 140.0, 240.0])
def test_contour_follows_the_pitch(pitch):
    contour = pitch_contour(Clip(buzz(pitch, 1.5), 16000))
    assert np.median(contour[contour > 0]) == pytest.approx(pitch, rel=0.08)


@pytest.mark.parametrize("seconds", [0.01, 0.3, 12])
def test_any_length_has_a_picture(seconds):
    level = spectrogram(Clip(buzz(120, seconds), 16000))
    assert level.shape == (HEIGHT, WIDTH)
    assert 0 <= level.min() <= level.max() <= 1


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine: apt-get install chromium")
@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["laptop", "phone"])
def test_page_works_in_a_browser(report, size):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(report.html.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "nothing is cut off at the side"
        assert page.locator("[data-hear]").count() == 4
        page.locator("[data-hear='Talia/sad']").click()
        page.wait_for_function("document.querySelector(\"[data-hear='Talia/sad']\").classList.contains('on')")
        page.select_option("[data-filter=speaker]", "Talia")
        assert page.locator(".cell:visible h2").all_text_contents() == ["Talia happy", "Talia sad"]
        page.select_option("[data-filter=speaker]", "")
        page.check(".controls [data-missed]")
        assert set(page.locator(".cell:visible").evaluate_all("cells => cells.map(c => c.dataset.style)")) == {"happy"}
        page.uncheck(".controls [data-missed]")
        page.locator("main audio").first.evaluate("audio => { audio.preload = 'auto'; audio.load() }")
        page.wait_for_function("document.querySelector('main audio').readyState >= 3")
        page.click("[data-blind]")
        page.click("[data-vote=B]")
        page.click("[data-vote=same]")
        with page.expect_download() as download:
            page.click(".save")
        votes = json.loads(download.value.path().read_text())
        assert [vote["vote"] for vote in votes] == ["B", "same"]
        assert votes[0]["preferred"] == votes[0]["B"]
        page.click("[data-leave]")
        assert "against" in page.locator(".voted").text_content()
        page.reload()
        page.click("[data-blind]")
        assert page.locator(".count").text_content() == "2 votes"
        assert errors == []
        browser.close()
