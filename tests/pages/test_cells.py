"""Cells of the pages' tables: names from somebody's data stay text."""

from __future__ import annotations

import pytest

from parler_assets.pages.columns import escaped, markdown_table


@pytest.mark.parametrize(
    "hostile",
    [
        "![b](http://evil.example/x)", "[a](javascript:alert(1))", "<img src=http://evil.example>", "`code`", "**b**",
        "https://evil.example/x", "www.evil.example", "a | b\n| c |", "![a][b]", "<!-- x", "# h", "~~x~~",
    ],
)  # fmt: skip
def test_a_name_is_no_markup(hostile):
    cell = escaped(hostile)
    assert not any(mark in cell for mark in ("![", "](", "<", "`", "*", "|", "\n", "http:", "https:", "www.", "~"))
    assert markdown_table([{hostile: hostile}]).count("\n") == 2


@pytest.mark.parametrize("plain", ["happy", "studio-1.2", "12.5 %", "a, b: c", "naïve", "3"])
def test_plain_names_stay_as_they_are(plain):
    assert escaped(plain) == plain
