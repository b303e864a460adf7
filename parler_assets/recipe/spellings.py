"""Genders and styles as people write them, and the one spelling that every stage uses."""

from __future__ import annotations

import unicodedata
from typing import Literal

Gender = Literal["male", "female"]
DEFAULT = "default"  # the style of a clip that has none, read with no particular emotion
_PLAIN = {"", "default", "neutral", "normal", "none", "null", "nan", "n/a", "na", "no", "no emotion", "plain",
          "unknown", "unspecified", "calm neutral", "neutrality"}  # fmt: skip
_FEMALE = {
    "f", "female", "fem", "feminine", "female feminine", "woman", "women", "girl", "lady", "w", "weiblich", "frau",
    "femme", "féminin", "femmina", "femminile", "femenino", "femenina", "mujer", "feminino", "mulher", "vrouw",
    "vrouwelijk", "kvinna", "kvinde", "kvinne", "kobieta", "ж", "женский", "женщина", "女", "女性", "여성", "여",
    "♀", "she",
}  # fmt: skip
_MALE = {
    "m", "male", "masc", "masculine", "male masculine", "man", "men", "boy", "männlich", "mann", "homme", "masculin",
    "uomo", "maschio", "maschile", "masculino", "hombre", "homem", "mannelijk", "mand", "mężczyzna", "м", "мужской",
    "мужчина", "男", "男性", "남성", "남", "♂", "he",
}  # fmt: skip


def folded(value: str) -> str:
    """Lower case, composed, words by one space: how names of columns, styles and genders are compared."""
    words = unicodedata.normalize("NFC", value).casefold().replace("_", " ").replace("-", " ").split()
    return " ".join(words)


def gender_of(value: str | None) -> Gender | None:
    """`F`, `Female `, `female_feminine`, `weiblich`: female. None for what is neither, or not said."""
    said = folded(value or "").strip(".")
    if said in _FEMALE:
        return "female"
    return "male" if said in _MALE else None


def style_of(value: str | None) -> str:
    """`Happy` is happy; neutral, normal, default and no style at all are `default`. No characters are taken out."""
    said = folded(value or "")
    if value and not value.strip().isprintable():
        return value  # a line break in it: no name of a style
    if said in _PLAIN and (said or not (value or "").strip()):
        return DEFAULT
    return said.replace(" ", "_") or str(value).strip()


def is_english(language: str) -> bool:
    return language.replace("_", "-").partition("-")[0].lower() == "en"


def as_gender(value: object) -> object:
    """For settings: what is no gender stays, and is refused where it is checked."""
    return (gender_of(value) or value) if isinstance(value, str) else value
