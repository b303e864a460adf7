"""Genders and styles as people write them, and the one spelling that every stage uses."""

from __future__ import annotations

import re
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

_UNTOLD = {"other", "-", "?", "unidentified", "unindentified", "not specified", "undefined", "0"}
_ACCENTS = {
    "us": "American", "usa": "American", "united states": "American", "american": "American", "en us": "American",
    "uk": "British", "gb": "British", "en gb": "British", "british": "British", "united kingdom": "British",
    "england": "English", "english": "English", "indian": "Indian", "india": "Indian", "en in": "Indian",
    "india and south asia (india, pakistan, sri lanka)": "South Asian", "australia": "Australian",
    "australian": "Australian", "en au": "Australian", "canada": "Canadian", "canadian": "Canadian",
    "en ca": "Canadian", "scotland": "Scottish", "scottish": "Scottish", "ireland": "Irish", "irish": "Irish",
    "northern ireland": "Northern Irish", "wales": "Welsh", "welsh": "Welsh", "african": "African",
    "newzealand": "New Zealand", "new zealand": "New Zealand", "south africa": "South African",
    "philippines": "Filipino", "hongkong": "Hong Kong", "malaysia": "Malaysian", "singapore": "Singaporean",
    "bermuda": "Bermudian", "german": "German", "germany": "German", "french": "French", "france": "French",
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


def accent_of(value: str | None) -> str | None:
    """As a sentence says it: Common Voice's `us` and `United States English` are American, `NorthernIrish` two words.

    None for an accent that is unknown. What is in no list stays as it is written.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", (value or "").strip())
    said = re.sub(r" (english|accent)$", "", folded(words)) if " " in folded(words) else folded(words)
    if said in _PLAIN or said in _UNTOLD:
        return None
    return _ACCENTS.get(said) or " ".join(words.split())


def age_of(value: str | None) -> str | None:
    """`23`, `23.0`, `twenties`: as it is written, without the part of a number that says nothing. None for unknown."""
    said = re.sub(r"(?<=\d)\.0+$", "", (value or "").strip())
    return None if folded(said) in _PLAIN or folded(said) in _UNTOLD else said


def is_english(language: str) -> bool:
    return language.replace("_", "-").partition("-")[0].lower() == "en"


def as_gender(value: object) -> object:
    """For settings: what is no gender stays, and is refused where it is checked."""
    return (gender_of(value) or value) if isinstance(value, str) else value
