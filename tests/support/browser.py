"""A window of Debian's Chromium: fixtures for the tests that look at the UI as a user does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server

CHROMIUM = shutil.which("chromium")
WAIT = 120_000  # milliseconds
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: install Debian's package `chromium` to run this journey"),
]


@pytest.fixture(scope="module")
def window():
    """One browser window: its pages share what they have loaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": 1600, "height": 1300})
        browser.close()


@pytest.fixture
def page(window, request) -> Iterator:
    """A page of its own; PARLER_SCREENSHOTS=FOLDER keeps what it showed at the end."""
    page = window.new_page()
    page.set_default_timeout(WAIT)
    yield page
    if os.environ.get("PARLER_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(os.environ["PARLER_SCREENSHOTS"]) / f"{request.node.name}.png")
    page.close()


def visit(page, server: Server, path: str, text: str) -> None:
    page.goto(server.url + path, wait_until="domcontentloaded")
    page.get_by_text(text).first.wait_for()
