"""What a model is asked: every situation names its keywords, a user's own template is checked before it is used."""

from __future__ import annotations

import pytest

from parler_assets.speech.descriptions import DescriptionError
from parler_assets.speech.descriptions.attributes import Unusable, attributes_of, columns_of
from parler_assets.speech.descriptions.checking.faults import faults
from parler_assets.speech.descriptions.examples import examples_of
from parler_assets.speech.descriptions.prompts import TITLES, Prompt
from parler_assets.speech.descriptions.situations import SITUATIONS
from tests.support.described import rows

ROW = rows(1)[0]
CASES = [(name, kind) for name in SITUATIONS for kind in ("named", "situational")]


def row(prompt: str) -> dict:
    return {**rows(1, "v02" if "v02" in prompt else "v01")[0], "accent": "Irish"}


@pytest.mark.parametrize(("prompt", "kind"), CASES)
def test_a_prompt_explains_its_keywords_and_ends_with_the_values(prompt, kind):
    attributes = attributes_of(row(prompt), prompt, kind)
    text = Prompt(prompt).filled(kind, attributes)
    asked = text.rsplit("Keywords: ", 1)[1]
    for name, value in attributes.items():
        if name != "quality":
            assert f'{TITLES[name]} "{value}"' in asked
            assert f"- {TITLES[name]}: " in text
    assert ("name" in attributes) == (kind == "named" and prompt.startswith(("named", "expresso")))
    assert ("Jerry" in asked) == ("name" in attributes)


@pytest.mark.parametrize(("prompt", "kind"), CASES)
def test_examples_are_faithful(prompt, kind):
    named = kind == "named" and "name" in SITUATIONS[prompt].states
    for attributes, sentence in examples_of(prompt, named):
        assert not faults(sentence, attributes, ["Jerry", "Talia", "Thomas", "Laura", "Gary"])
        assert ("name" in attributes) == named


@pytest.mark.parametrize("prompt", SITUATIONS)
def test_prompts_of_one_situation_differ_at_their_end_only(prompt):
    """So that engines can share the computation of what comes before."""
    first, second = (
        attributes_of(row(prompt) | {"speaking_rate": rate}, prompt) for rate in ("very fast", "very slowly")
    )
    one, two = (Prompt(prompt).filled("named", attributes) for attributes in (first, second))
    shared = next(place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    assert shared > one.rindex("Keywords: ")
    assert len(one) - shared < 0.2 * len(one)


def test_default_is_explained_as_no_particular_emotion():
    assert '"default" means no particular emotion' in Prompt("expresso").filled("named", attributes_of(ROW, "expresso"))


def test_structured_output_is_asked_for_when_wanted():
    attributes = attributes_of(ROW, "expresso")
    assert '{"description": "..."}' in Prompt("expresso", structured=True).filled("named", attributes)
    assert "JSON" not in Prompt("expresso").filled("named", attributes)


def test_a_situation_falls_back_as_the_original_does():
    nameless, placeless = row("named_v02") | {"speaker": None}, row("generic_v02_accent") | {"accent": "Unindentified"}
    assert "gender" in attributes_of(nameless, "named_v02")
    assert "accent" not in attributes_of(placeless, "generic_v02_accent")
    assert '"Irish"' in Prompt("generic_v02_accent").filled("named", attributes_of(row("v02"), "generic_v02_accent"))
    assert "accent" not in Prompt("generic_v02").filled("named", attributes_of(placeless, "generic_v02_accent"))


def test_a_users_own_template(tmp_path):
    file = tmp_path / "own.j2"
    file.write_text("Say how {{ name }} sounds: {{ style }}{% if accent %}, {{ accent }} accent{% endif %}.\n")
    path = str(file)
    assert columns_of(path) == ["speaker", "gender", "style", "accent"]
    attributes = attributes_of(ROW, path)
    assert attributes == {"name": "Jerry", "style": "enunciated"}
    assert Prompt(path).filled("named", attributes) == "Say how Jerry sounds: enunciated."
    with pytest.raises(Unusable, match="no style"):
        attributes_of(ROW | {"style": None}, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Say how {{ nme }} sounds.", "uses 'nme'"),
        ("Say how it sounds.", "uses no attribute"),
        ("Say {% if name %}.", "line 1: not a template"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(tmp_path, text, message):
    file = tmp_path / "own.j2"
    file.write_text(text)
    with pytest.raises(DescriptionError, match=message):
        Prompt(str(file))


def test_a_template_that_is_not_there():
    with pytest.raises(DescriptionError, match="neither one of expresso"):
        Prompt("nowhere.j2")


# Each is a few lines that a renderer works on for hours, or makes gigabytes of; or reaches what is no attribute.
HOSTILE = {
    "insides": "{{ name.__class__.__mro__[1].__subclasses__() }}",
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{{ name }}{% endfor %}{% endfor %}",
    "loops over a list": "{% for a in [1, 2] %}{% for b in [1, 2] %}{{ name }}{% endfor %}{% endfor %}",
    "a macro of itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ name }}{{ m() }}",
    "doubled": "{% set a = name %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "a block": "{% set a %}{{ name }}{{ name }}{% endset %}{{ a }}",
    "a product": "{{ name * 10000000000 }}",
    "a power": "{{ name }}{{ 9 ** 9 ** 9 }}",
    "a width": "{{ '%9999999999s' % name }}",
    "a format": "{{ '{:>9999999999}'.format(name) }}",
    "a method": "{{ name.ljust(9999999999) }}",
    "a centre": "{{ name|center(9999999999) }}",
    "replaced": "{{ name" + "|replace('', 'aaaaaaaaaa')" * 20 + " }}",
    "batches": "{{ name|batch(9999999999, 'x')|list }}",
    "random words": "{{ name }}{{ lipsum(n=99999) }}",
    "another file": "{% include '/etc/passwd' %}{{ name }}",
    "a parent": "{% extends '/etc/passwd' %}{{ name }}",
    "an import": "{% import '/etc/passwd' as a %}{{ name }}",
    "deep": "{{ name" + "[(" * 20_000 + "0" + ")]" * 20_000 + " }}",
    "large": "{{ name }}" + "x" * 70_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_template_that_works_without_end_is_refused(tmp_path, case):
    file = tmp_path / "own.j2"
    file.write_text(HOSTILE[case])
    with pytest.raises(DescriptionError, match=r"own\.j2") as refused:
        Prompt(str(file))
    assert len(str(refused.value)) < 600


def test_names_in_a_template_without_an_end_are_found_in_no_time(tmp_path):
    from parler_assets.recipe.names import states_of
    from tests.support.bounded import outcome

    file = tmp_path / "own.j2"
    file.write_text("{{ style }}" + "{{" * 2_000_000)
    assert outcome(states_of, str(file)) == ("read", "['style']")
