"""Markdown that people open: names from somebody's data stay text wherever they are shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from parler_assets import storage
from parler_assets.intake.markdown import escaped, escaped_lines
from parler_assets.pages.columns import markdown_table
from parler_assets.recipe import Release, load_recipe
from parler_assets.tts.data import mixture_markdown
from parler_assets.tts.experiments.sweep import Sweep, Variant, comparison
from parler_assets.tts.release.cards import Lineage, data_card, model_card
from parler_assets.tts.scoring.table import markdown

HOSTILE = [
    "![b](http://evil.example/x)", "[a](javascript:alert(1))", "<img src=http://evil.example>", "`code`", "**b**",
    "https://evil.example/x", "www.evil.example", "a | b\n| c |", "![a][b]", "<!-- x", "# h", "~~x~~", "_x_", "__x__",
    "<svg onload=alert(1)>", "HTTPS://evil.example", "&lt;img src=x&gt;", "`![b](http://evil.example)`", "[b]: //evil",
]  # fmt: skip
MARKS = ("![", "](", "][", "]:", "<", "&lt;", "`code", "**b**", "http:", "https:", "HTTPS:", "www.", "~~", "_x")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_name_is_no_markup(hostile):
    cell = escaped(hostile)
    assert [mark for mark in (*MARKS, "`", "*", "|", "\n") if mark in cell] == []
    assert markdown_table([{hostile: hostile}]).count("\n") == 2


@pytest.mark.parametrize(
    "plain",
    ["happy", "studio-1.2", "12.5 %", "a, b: c", "naïve", "3", "snr_a", "word errors (grammar)", "{name}", "a+b!", "-"],
)
def test_plain_names_stay_as_they_are(plain):
    assert escaped(plain) == plain


def test_prose_keeps_its_lines():
    assert escaped_lines("one\n\n- two <b>") == "one\n\n- two &#60;b&#62;"


def mixture(name: str) -> list[dict]:
    counts = dict.fromkeys(("clips", "train_rows", "held_out_rows", "train_hours", "share", "weight"), 1)
    return [{"corpus": name, "speakers": [name], "styles": [name], "licence": name, "set_aside": {name: 1}, **counts}]


def release_cards(name: str, folder: Path) -> str:
    recipe = load_recipe("sample")
    release = Release(repo="me/voice", licence="CC0-1.0", voice_consent=f"agreed: {name}", intended_use=name)
    describing = recipe.describing.model_copy(update={"model": name})
    corpora = {name: next(iter(recipe.corpora.values()))}
    changes = {"release": release, "describing": describing, "description": name, "corpora": corpora}
    recipe = recipe.model_copy(update=changes)
    for part, facts in (("set", {"mixture": mixture(name)}), ("bins", {"edges": {name: [1.0, 2.0]}})):
        manifest = storage.Manifest("fingerprint", (), facts=facts)
        storage.write_json(folder / part / "manifest.json", asdict(manifest))
    lineage = Lineage(folder, folder / "set", folder, {name: folder / "bins"}, {name: name}, {name: name}, name, name)
    return "".join(
        text.split("\n---\n", 1)[1] for text in (model_card(recipe, lineage), data_card(recipe, lineage, [name]))
    )


SHOWN = {
    "mixture": lambda name, _: mixture_markdown(mixture(name)),
    "scorecard": lambda name, _: markdown(
        {
            "scores": [{"metric": "style_probe", "system": "copy", "note": f"learnt from training clips of {name}",
                        "value": 1.0, "low": 1.0, "high": 1.0}],
            "missing": [{"metric": "naturalness", "system": "copy", "reason": name}],
            "differences": [],
            "worse_than_base": [],
        }
    ),
    "sweep": lambda name, _: comparison(Sweep([Variant(name, {name: name}, failure=name)])),
    "release cards": release_cards,
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_a_name_is_no_markup_in_what_is_shown(shown, hostile, tmp_path: Path):
    text = shown(hostile, tmp_path)
    assert [mark for mark in MARKS if mark in text] == []
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
