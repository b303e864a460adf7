"""YAML, JSON and cards that somebody wrote to do harm, and good ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parler_assets.intake.cards import front_matter
from parler_assets.intake.files import DOCUMENT, read_bytes, read_text
from parler_assets.intake.json_documents import json_value, read_json
from parler_assets.intake.yaml_documents import yaml_value
from tests.support.bounded import refusal

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 12)
)
YAML = {
    "aliases of aliases": (BOMB, 6, "repeated by aliases"),
    "merges of merges": (MERGES, None, "repeated by aliases"),
    "alias to itself": ("a: &a [*a]", 1, "to itself"),
    "alias to nothing": ("a: 1\nb: *c", 2, "to nothing"),
    "deep brackets": ("a:\n  " + "[" * 50_000, 2, "deep"),
    "deep braces": ("{a: " * 50_000, 1, "deep"),
    "deep dashes": ("- " * 50_000, 1, "deep"),
    "many values": ("[" + "1," * 500_000 + "]", 1, "values"),
    "long number": ("a: 1\nb: " + "7" * 5000, 2, "digits"),
    "long hexadecimal": ("a: 0x" + "f" * 100_000, 1, "digits"),
    "long sexagesimal": ("a: 1" + ":1" * 300_000, 1, "digits"),
    "long float": ("a: 1." + "7" * 500_000, 1, "digits"),
    "date that is none": ("a: 2026-99-99", 1, "timestamp"),
    "tag of Python": ("a: !!python/object/apply:os.system [true]", 1, "tag"),
    "tag of one's own": ("a: !secret x", 1, "tag"),
    "tag that does not fit": ("a: !!bool perhaps", 1, "bool"),
    "empty integer": ("a: !!int ''", 1, "int"),
    "binary": ("a: !!binary aGk=", 1, "tag"),
    "lone surrogate": ('a: "\\ud800"', 1, "not valid YAML"),
    "NUL": ('a: "\\0"', 1, "NUL"),
    "control character": ("a: b\n\x01", None, "not valid YAML"),
    "key twice": ("a: 1\nb:\n  c: 1\n  c: 2", 4, "second time"),
    "list as key": ("? [a]\n: 1", 1, "unhashable"),
    "two documents": ("a: 1\n---\nb: 2", 2, "not valid YAML"),
    "open bracket": ("a: [1\nb: 2", 2, "not valid YAML"),
    "tab": ("a:\n\t- 1", 2, "not valid YAML"),
}
JSON = {
    "deep lists": ('{"a":\n' + "[" * 50_000 + "]" * 50_000 + "}", 2, "deep"),
    "deep objects": ('{"a":' * 50_000 + "1" + "}" * 50_000, 1, "deep"),
    "deep and cut off": ("[" * 1_000_000, 1, "deep"),
    "long number": ('{"a": 1,\n"b": ' + "7" * 5000 + "}", 2, "digits"),
    "long negative number": ('{"a": -' + "7" * 50 + "}", 1, "digits"),
    "lone surrogate": ('{"a": "\\ud800"}', 1, "surrogate"),
    "lone surrogate as a key": ('{"a": [{"\\udfff": 1}]}', 1, "surrogate"),
    "NUL": ('{"a": "x\\u0000"}', 1, "NUL"),
    "cut off": ('{"a": 1,\n"b"', 2, "not JSON"),
    "no object": ("[1]", 1, "not an object"),
    "text": ('"x"', 1, "not an object"),
    "nothing": ("", 1, "not JSON"),
}


@pytest.mark.parametrize("case", YAML)
def test_hostile_yaml_is_refused_by_file_and_line(case: str):
    text, line, problem = YAML[case]
    said = refusal(yaml_value, text, "recipe.yaml")
    assert problem in said
    assert said.startswith("recipe.yaml" if line is None else f"recipe.yaml, line {line}: ")
    assert len(said) < 400


@pytest.mark.parametrize("case", JSON)
def test_hostile_json_is_refused_by_file_and_line(case: str, tmp_path: Path):
    text, line, problem = JSON[case]
    (tmp_path / "a.json").write_text(text)
    said = refusal(read_json, tmp_path / "a.json")
    assert problem in said
    assert said.startswith(f"{tmp_path / 'a.json'}, line {line}: ")
    assert len(said) < 400


def test_yaml_reads_what_a_recipe_holds():
    text = "a: &one {x: 1, y: 2.5}\nb: {<<: *one, y: 3}\nc: [*one, yes, null, 'ä', \"\\u00e4\"]\nd: 2024-01-31\n"
    assert yaml_value(text + "1: {'1': a}", "") | {"d": 0} == {
        "a": {"x": 1, "y": 2.5},
        "b": {"x": 1, "y": 3},
        "c": [{"x": 1, "y": 2.5}, True, None, "ä", "ä"],
        "d": 0,
        1: {"1": "a"},
    }
    assert yaml_value("", "") is None


def test_json_reads_what_a_checkpoint_holds(tmp_path: Path):
    (tmp_path / "a.json").write_bytes(
        b'\xef\xbb\xbf{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00 \\" [[["], "b": ' + b"9" * 40 + b"}"
    )
    assert read_json(tmp_path / "a.json") == {"a": [1, -2500.0, True, None, '😀 " [[['], "b": int("9" * 40)}
    brackets = '{"a": "' + "[{" * 5000 + '\\"[", "b": [' + "[]," * 5000 + "[]]}"
    assert len(json_value(brackets)["b"]) == 5001


CARDS = {
    "newlines without end": "---" + "\n" * 1_000_000,
    "dashes without end": "---\n" + "--\n" * 300_000,
    "spaces before": " \n" * 300_000 + "---\n",
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_without_end_has_no_front_matter(case: str):
    from tests.support.bounded import outcome

    assert outcome(front_matter, CARDS[case], "README.md") == ("read", "{}")


@pytest.mark.parametrize("case", YAML)
def test_hostile_front_matter_is_refused(case: str):
    text, line, _ = YAML[case]
    if "\n---" in text:
        pytest.skip("ends the front matter")
    said = refusal(front_matter, f"\n---\n{text}\n---\n# Card", "README.md")
    found = re.match(r"README.md, line (\d+): ", said)
    assert found
    assert int(found[1]) >= 3 if line is None else int(found[1]) in (line + 2, line + 3)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("---\nlicense: mit\n---\n# Card", {"license": "mit"}),
        ("\n --- \r\nlicense: mit\r\ntags:\r\n- a\r\n---\r\n# Card\n---\n", {"license": "mit", "tags": ["a"]}),
        ("---\n---\n# Card", {}),
        ("# Card\n---\na: 1\n---", {}),
        ("----\na: 1\n---", {}),
        ("", {}),
    ],
)
def test_front_matter_is_what_stands_between_the_dashes(text: str, content: dict):
    assert front_matter(text, "README.md") == content


def test_front_matter_is_a_mapping():
    assert "line 1: the front matter is no mapping" in refusal(front_matter, "---\n- a\n---\n", "README.md")


def test_a_document_has_a_size_and_an_encoding(tmp_path: Path):
    large, other = tmp_path / "large", tmp_path / "other"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    other.write_bytes("a\nä".encode("latin-1"))
    assert "at most 4 MiB" in refusal(read_text, large)
    assert ", line 2: not UTF-8" in refusal(read_text, other)
    large.write_bytes(b"x" * DOCUMENT)
    assert len(read_bytes(large)) == DOCUMENT
