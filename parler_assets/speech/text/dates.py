"""Dates and times of day in words."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from parler_assets.speech.text.numbers import Numbers, Unsayable
from parler_assets.speech.text.rules import Rule

_DAY = r"(0?[1-9]|[12]\d|3[01])"
_YEAR = r"(1[0-9]\d\d|20\d\d)"
_ISO = re.compile(r"(?<![\w./-])(\d{4})([-/.])(0?[1-9]|1[0-2])\2(0?[1-9]|[12]\d|3[01])(?![\w/-]|\.\d)")
_NUMERIC = re.compile(r"(?<![\w./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-])(?!\.\d)")
_HALF_DAY = r"\s?([AaPp])\.?\s?[Mm](?!\w)\.?"
_CLOCK = re.compile(rf"(?<![\w:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?:{_HALF_DAY}|(?!\w|:\d))")
_HALF = re.compile(r"(?<![\w:.,])(1[0-2]|0?[1-9])(?:\.([0-5]\d))?\s?([AaPp])\.?\s?[Mm]\b(\.?)")
_HOURS = rf"([01]?\d|2[0-4])(?::([0-5]\d))?(?:{_HALF_DAY})?"
_HOURS_SPAN = re.compile(rf"(?<![\w:.,/$€£-]){_HOURS}\s?[-–—]\s?{_HOURS}(?![\w:/-]|[.,]\d)")
_DECADE = re.compile(r"(?<![\w])['’]?(\d{2}|1\d{3}|20\d\d)['’]?s\b")
_SHORT = {
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June", "Jul": "July",
    "Aug": "August", "Sept": "September", "Sep": "September", "Oct": "October", "Nov": "November", "Dec": "December",
}  # fmt: skip
_COUNTED = ("people", "men", "women", "children", "feet", "percent", "fish", "sheep", "of")
_NOT_COUNTED = ("was", "is", "has", "does", "this", "its", "his", "as", "us", "thus", "always", "perhaps",
                "s", "across", "towards", "sometimes", "yes", "plus", "minus", "versus", "equals")  # fmt: skip
_OF_TIME = {
    "in", "since", "by", "until", "till", "from", "to", "of", "the", "year", "years", "before", "after", "around",
    "circa", "about", "during", "late", "early", "mid", "and", "spring", "summer", "autumn", "fall", "winter", "on",
    "for", "between", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
}  # fmt: skip
_O_CLOCK = {"de": "Uhr", "nl": "uur", "fr": "heures"}


def date_rules(numbers: Numbers) -> tuple[Rule, ...]:
    rules = [
        Rule(_ISO, lambda found: _date(int(found[1]), int(found[3]), int(found[4]), numbers)),
        Rule(_NUMERIC, lambda found: _numeric(found, numbers)),
    ]
    months = "|".join(map(re.escape, sorted(_months(numbers.language), key=len, reverse=True)))
    if numbers.language == "en":
        named = rf"({'|'.join(_SHORT)}|{months})"
        day = rf"{_DAY}(?:st|nd|rd|th)?"
        month_first = re.compile(rf"\b{named}(?:\.? |-){day}(?:(,? |-){_YEAR})?(?![\w:]|[.,-]\d)")
        behind = rf"(?:(?:,? |\.,? |-){_YEAR}(?![\w]|[.,]\d))?"
        day_first = re.compile(rf"(?<![\w.,])([Tt]he )?{day}(?: of | |-){named}\b{behind}")
        rules += [
            Rule(month_first, lambda found: _month_first(found, numbers)),
            Rule(day_first, lambda found: _day_first(found, numbers)),
            Rule(_DECADE, lambda found: _decade(found, numbers)),
            Rule(
                re.compile(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b"), lambda found: numbers.words(int(found[1]), "ordinal")
            ),
        ]
    if numbers.language == "de":
        german = re.compile(rf"(?<![\w.,])(?:(\w+) )?{_DAY}\. ({months})\b")
        rules.append(Rule(german, lambda found: _german(found, numbers)))
    span = re.compile(rf"(?<![\w.,:/-]){_YEAR}\s?([-–—/])\s?({_YEAR}|\d\d)(?![\w:/-]|[.,]\d)")
    return (*rules, Rule(span, lambda found: _span(found, numbers)))


def year_rules(numbers: Numbers) -> tuple[Rule, ...]:
    """Four digits alone; those that count something are left to the numbers."""
    year = re.compile(rf"(?<![\w.,:/-])(?:(\w+) )?{_YEAR}(?![\w:/]|[.,-]\d)(?= (\w+))?")
    return (Rule(year, lambda found: _year(found, numbers)),)


def time_rules(numbers: Numbers) -> tuple[Rule, ...]:
    rules = [
        Rule(_HOURS_SPAN, lambda found: _hours_span(found, numbers)),
        Rule(_CLOCK, lambda found: _clock(found, numbers)),
    ]
    if numbers.language == "en":
        rules.append(Rule(_HALF, lambda found: _half(found, numbers)))
    return tuple(rules)


@lru_cache(maxsize=64)
def _months(language: str) -> dict[str, int]:
    from babel.dates import get_month_names

    return {name: number for number, name in get_month_names("wide", locale=language).items()}


def _date(year: int, month: int, day: int, numbers: Numbers) -> str:
    date(year, month, day)  # ValueError: no such day
    name = {number: name for name, number in _months(numbers.language).items()}[month]
    said = numbers.words(year, "year")
    if numbers.language == "en":
        return f"{name} {numbers.words(day, 'ordinal')} {said}"
    if numbers.language == "de":
        return f"{numbers.words(day, 'ordinal')}r {name} {said}"
    return f"{numbers.words(day)} {name} {said}"


def _numeric(found: re.Match, numbers: Numbers) -> str:
    """Day and month are told apart by the language's use of points, or by a number above twelve; else read as said."""
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if len(found[4]) == 4 and 0 < first <= 31 and 0 < second <= 31:
        if found[2] == "." or (first > 12 >= second) or (numbers.language != "en" and second <= 12):
            return _date(year, second, first, numbers)
        if second > 12 >= first:
            return _date(year, first, second, numbers)
    if found[2] == "-":
        raise Unsayable(found[0])
    last = numbers.words(year, "year") if len(found[4]) == 4 else numbers.said(found[4])
    return f"{numbers.words(first)} {numbers.words(second)} {last}"


def _month_first(found: re.Match, numbers: Numbers) -> str:
    year = f"{found[3].replace('-', ' ')}{numbers.words(int(found[4]), 'year')}" if found[4] else ""
    return f"{_SHORT.get(found[1], found[1])} {numbers.words(int(found[2]), 'ordinal')}{year}"


def _day_first(found: re.Match, numbers: Numbers) -> str:
    year = f" {numbers.words(int(found[4]), 'year')}" if found[4] else ""
    day = numbers.words(int(found[2]), "ordinal")
    return f"{found[1] or 'the '}{day} of {_SHORT.get(found[3], found[3])}{year}"


def _decade(found: re.Match, numbers: Numbers) -> str:
    """1990s and '90s as a plural; what does not end in zero is no decade."""
    number = int(found[1])
    if number % 10 or number == 0:
        raise Unsayable(found[0])
    words = numbers.words(number, "year" if number > 100 else "cardinal")
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _german(found: re.Match, numbers: Numbers) -> str:
    """The day in the case that the word before it asks for."""
    day, before = numbers.words(int(found[2]), "ordinal"), (found[1] or "")
    ending = "" if before.lower() in ("der", "die", "das") else "n" if before else "r"
    return f"{before + ' ' if before else ''}{day}{ending} {found[3]}"


def _span(found: re.Match, numbers: Numbers) -> str:
    """1990–1995, 1980-81; with a stroke both follow each other."""
    first, last = int(found[1]), found[3]
    if len(last) == 2 and int(last) <= first % 100:
        raise Unsayable(found[0])
    to = " " if found[2] == "/" else f" {TO[numbers.language]} " if numbers.language in TO else "–"
    words = numbers.words(int(last), "year") if len(last) == 4 else numbers.words(int(last))
    return f"{numbers.words(first, 'year')}{to}{words}"


def _year(found: re.Match, numbers: Numbers) -> str:
    """`in 1984` and `1984` are a year, `1984 people` are counted where no word before them speaks of a time."""
    before, after = found[1] or "", found[3] or ""
    counts = after in _COUNTED or (after.islower() and after.endswith("s") and after not in _NOT_COUNTED)
    as_count = numbers.language == "en" and counts and before.lower() not in _OF_TIME
    said = numbers.words(int(found[2]), "cardinal" if as_count else "year")
    return f"{before} {said}" if before else said


def _hours_span(found: re.Match, numbers: Numbers) -> str:
    """5-6 pm, 9am-5pm, 17:30–18:15; two bare numbers are no times."""
    (hour, minute, half, until, last, end) = found.groups()
    sure = (minute and last) or (numbers.language == "en" and (half or end))
    if not sure or numbers.language not in TO:
        raise Unsayable(found[0])
    point = _point(found, "." if found[0].endswith(".") else "")
    return f"{_time(hour, minute, half, numbers)} {TO[numbers.language]} {_time(until, last, end, numbers)}{point}"


def _time(hour: str, minute: str | None, half: str | None, numbers: Numbers) -> str:
    said = [numbers.words(int(hour))]
    if minute and numbers.language in _O_CLOCK:
        said.append(_O_CLOCK[numbers.language])
    if minute and (int(minute) or (numbers.language == "en" and not half)):
        said.append(_minute(int(minute), numbers) if int(minute) else "o'clock")
    return " ".join(said) + (f" {half.upper()}M" if half else "")


def _half(found: re.Match, numbers: Numbers) -> str:
    minute = f" {_minute(int(found[2]), numbers)}" if found[2] and int(found[2]) else ""
    return f"{numbers.words(int(found[1]))}{minute} {found[3].upper()}M{_point(found, found[4])}"


def _clock(found: re.Match, numbers: Numbers) -> str:
    hour, minute, second, half = int(found[1]), int(found[2]), found[3], found[4]
    said = [numbers.words(hour)]
    if numbers.language in _O_CLOCK:
        said.append(_O_CLOCK[numbers.language])
    if minute or second:
        said.append(_minute(minute, numbers))
    elif numbers.language == "en" and not half:
        said.append("o'clock" if 0 < hour <= 12 else "hundred")
    if second:
        said.append(_minute(int(second), numbers))
    return " ".join(said) + (f" {half.upper()}M{_point(found, '.' if found[0].endswith('.') else '')}" if half else "")


def _minute(minute: int, numbers: Numbers) -> str:
    if numbers.language == "en" and minute < 10:
        return f"oh {numbers.words(minute)}" if minute else "oh oh"
    return numbers.words(minute)


def _point(found: re.Match, point: str) -> str:
    """The point of `p.m.` stays where it also ends the sentence."""
    rest = found.string[found.end() :]
    return point if not rest.strip() or (rest[:1].isspace() and rest.lstrip()[:1].isupper()) else ""


TO = {"en": "to", "de": "bis", "fr": "à", "es": "a", "it": "a", "pt": "a", "nl": "tot", "pl": "do", "ru": "до"}
