"""The spoken form of a text: numbers, money, dates, times, units, signs and abbreviations as words.

Words come from num2words (numbers) and Babel (units, currencies, months, the marks of decimals and thousands). What
cannot be told for sure is read as it stands, never guessed: 5/4/2021 is "five four twenty twenty-one". A text without
such things comes back as it is, and what a language has no words for stays as it is written (`unspoken` finds it).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from parler_assets.speech.text.abbreviations import expanded
from parler_assets.speech.text.addresses import addressed
from parler_assets.speech.text.dates import date_rules, time_rules, year_rules
from parler_assets.speech.text.numbers import Numbers, Unsayable, numbers_of
from parler_assets.speech.text.quantities import quantity_rules
from parler_assets.speech.text.rules import Rule, replaced
from parler_assets.speech.text.signs import signed

_PUNCTUATION = frozenset(",.;:!?'’\"“”()*- \t\n")
# Rules look ahead, so that their time grows with the square of what they are given: a text is taken in pieces, and
# what has no space for so long that nobody says it loses its digits to words and is otherwise left alone.
PIECE, WORD = 1_000, 120  # characters
_CUT = re.compile(rf".{{1,{PIECE}}}(?:(?<=[.!?])\s|$)|.{{1,{PIECE}}}(?:\s|$)|.{{1,{PIECE}}}", re.DOTALL)
_EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)
_LONG = re.compile(rf"\S{{{WORD + 1},}}")


def spoken_form(text: str, language: str = "en") -> str:
    """The text in words, as a reader says it.

    Args:
        language: ISO 639-1 code, with or without a region (`en`, `pt-BR`).
    """
    code = language_code(language)
    if len(text) <= PIECE:
        return _spoken(text, code)
    pieces = (_EDGES.fullmatch(piece) for piece in _CUT.findall(text))
    return "".join(f"{found[1]}{_spoken(found[2], code)}{found[3]}" for found in pieces if found)


def _spoken(text: str, code: str) -> str:
    text = expanded(text, code)
    if _plain(text):
        return text
    numbers = numbers_of(code)
    text = addressed(_LONG.sub(lambda found: _one_by_one(found[0], numbers), text), code)
    for rule in _rules(numbers) if numbers else ():
        text = replaced(text, rule)
    text = re.sub(r"(?<=\S)[ \t]{2,}", " ", signed(text, code))
    return re.sub(r" +(?=[.,;!?](?:\s|$))", "", text).strip() if text.strip() else text


def _plain(text: str) -> bool:
    return all(character.isalpha() or character in _PUNCTUATION for character in text)


def _one_by_one(word: str, numbers: Numbers | None) -> str:
    """The digits of a word that is too long to be one."""
    return " ".join(re.sub(r"\d", lambda found: f" {numbers.digits(found[0])} ", word).split()) if numbers else word


def unspoken(text: str, language: str = "en") -> str | None:
    """The first number of a text that has no spoken form here; None where all has."""
    return next((word for word in spoken_form(text, language).split() if any(map(str.isdecimal, word))), None)


def language_code(language: str) -> str:
    """The part of a language tag that chooses words: `pt-BR` is pt_BR, `en-GB` and `EN` are en."""
    from num2words import CONVERTER_CLASSES

    first, _, region = language.replace("-", "_").partition("_")
    whole = f"{first.lower()}_{region.upper()}"
    return whole if whole in CONVERTER_CLASSES and first.lower() != "en" else first.lower()


@lru_cache(maxsize=64)
def _rules(numbers: Numbers) -> tuple[Rule, ...]:
    """In the order in which they are tried: what a rule has put into words, no later one finds."""
    known = (*date_rules(numbers), *time_rules(numbers), *quantity_rules(numbers), *year_rules(numbers))
    return (*known, *_left_over(numbers))


def _left_over(numbers: Numbers) -> tuple[Rule, ...]:
    """Numbers that stand alone or inside a word, such as MP3 and B2B."""
    number = numbers.pattern
    apart = re.compile(rf"(?<=[^\W\d_])-?({number})|({number})(?=[^\W\d_])")

    def inside(found: re.Match) -> str:
        before = f" {numbers.said(found[1])}" if found[1] else f"{numbers.said(found[2])} "
        following = found.string[found.end() : found.end() + 1]
        return before + (" " if found[1] and following.isalnum() else "")

    return (
        Rule(re.compile(rf"(?<![\w.,])[-−]({number})(?![\w])"), _said(numbers, numbers.counted_below_zero)),
        Rule(re.compile(rf"(?<![\w]){re.escape(numbers.decimal)}(\d+)(?![\w])"), _fraction(numbers)),
        Rule(re.compile(r"(?<![\w.,])(\d+(?:\.\d+){2,9})(?![\w])"), _parts(numbers)),
        Rule(re.compile(r"(?<![\w.])[vV](?:er|ersion)?\.? ?(\d+(?:\.\d+){1,9})(?!\w)"), _version(numbers)),
        Rule(apart, inside),
        Rule(re.compile(r"(?<=\d)/(?=\d)"), lambda found: " "),
        Rule(re.compile(rf"({number})"), _said(numbers, numbers.said)),
    )


def _said(numbers: Numbers, say: Callable[[str], str]) -> Callable[[re.Match], str]:
    return lambda found: say(found[1])


def _fraction(numbers: Numbers) -> Callable[[re.Match], str]:
    return lambda found: numbers.said(f"0{numbers.decimal}{found[1]}").replace("zero point", "point")


def _version(numbers: Numbers) -> Callable[[re.Match], str]:
    parts = _parts(numbers)
    return lambda found: f"{found[0][: found.start(1) - found.start()].strip(' .')} {parts(found)}"


def _parts(numbers: Numbers) -> Callable[[re.Match], str]:
    """Versions and addresses: each part for itself."""
    point = " point " if numbers.language == "en" else " "
    return lambda found: point.join(numbers.said(part) for part in found[1].split("."))


__all__ = ["Unsayable", "language_code", "spoken_form", "unspoken"]
