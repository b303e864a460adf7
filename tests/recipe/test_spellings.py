"""Genders and styles as people write them."""

from __future__ import annotations

import pytest

from parler_assets.recipe import Corpus, Evaluation, FolderSource
from parler_assets.recipe.spellings import gender_of, style_of

FEMALE = ["F", "f", "Female ", "female_feminine", "woman", "w", "weiblich", "Frau", "femme", "mujer", "女", "♀", "FEM."]
MALE = ["M", "male", "Male", "male_masculine", "man", "männlich", "Mann", "homme", "hombre", "мужской", "boy"]
NEITHER = ["", "other", "do_not_wish_to_say", "x", "unknown", None, "malefemale"]
PLAIN = ["neutral", "Neutral", "default", "normal", "", None, " ", "NONE", "no emotion"]
STYLES = {"Happy": "happy", " Very  Sad": "very_sad", "matter-of-fact": "matter_of_fact", "FRÖHLICH": "fröhlich"}
UNSAYABLE = ["-", "a\nb", "x" * 41]


@pytest.mark.parametrize(
    ("said", "meant"), [*((s, "female") for s in FEMALE), *((s, "male") for s in MALE), *((s, None) for s in NEITHER)]
)
def test_genders(said, meant):
    assert gender_of(said) == meant


@pytest.mark.parametrize(("said", "meant"), [*((s, "default") for s in PLAIN), *STYLES.items()])
def test_styles(said, meant):
    assert style_of(said) == meant


@pytest.mark.parametrize("said", UNSAYABLE)
def test_what_is_no_name_of_a_style_is_not_made_one(said: str):
    assert style_of(said) == said


def test_a_recipe_takes_them_as_people_write_them(tmp_path):
    source = FolderSource(kind="folder", path=tmp_path)
    corpus = Corpus(source=source, genders={"Ann": "F", "Ben": "männlich"}, styles=["Happy", "neutral"])
    assert (corpus.genders, corpus.styles) == ({"Ann": "female", "Ben": "male"}, ["happy", "default"])
    assert Evaluation(speakers=["Ann"], styles=["Neutral", "Happy", "normal"]).styles == ["default", "happy"]
