"""Money, measures, ranges, fractions and telephone numbers in words."""

from __future__ import annotations

import re
from decimal import Decimal

from parler_assets.speech.text.dates import TO
from parler_assets.speech.text.numbers import Numbers, Unsayable
from parler_assets.speech.text.rules import Rule
from parler_assets.speech.text.units import UNITS, alternatives, currencies, currency_name, with_unit

_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "b": "billion",
           "B": "billion", "tn": "trillion"}  # fmt: skip
_GLYPHS = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8)}
_GLYPH = re.compile(rf"(\d+)?\s?([{''.join(_GLYPHS)}])")
_FRACTION = re.compile(r"(?<![\w./,])(?:(\w+,?) )?([1-9]|1[0-5])/([234568]|10|16)(?![\w/]|[.,]\d)")
_DATED = {
    "on", "by", "since", "until", "till", "from", "before", "after", "of", "dated", "monday", "tuesday", "wednesday",
    "thursday", "friday", "saturday", "sunday", "mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat",
    "sun", "date",
}  # fmt: skip
_FEET = re.compile(r"(?<![\w.,])(\d)['′](\d\d?)(?:\"|″|'')")
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:"
    r"\+\d{1,3}[ -]?(?:\(\d{1,5}\)[ -]?)?\d{1,5}(?:[ -]\d{2,8}){1,5}"  # +44 20 7946 0958
    r"|(?:\d{1,4}[ -])?\(\d{2,5}\)[ -]?\d{2,4}(?:[ -]\d{2,5}){0,3}"  # (555) 123-4567
    r"|(?<!\d )0\d{1,4}(?:[ /-]\d{2,8}){1,5}"  # 0800 123 456
    r"|\d{3}\.\d{3}\.\d{4}"  # 555.123.4567
    r"|(?:\d{1,4}[ -])?\d{2,4}-\d{3,4}(?:-\d{2,4})?"  # 1-800-555-1234
    r"|\d+(?:-\d+){2,7}"  # 978-3-16-148410-0
    r")(?![\w-]|[.,]\d)"
)
_TIMES = re.compile(r"(?<![\w.,])(\d+(?:\.\d+)?)\s?[x×]\s?(\d+(?:\.\d+)?)(?:\s?[x×]\s?(\d+(?:\.\d+)?))?(?![\w]|[.,]\d)")
_FOLD = re.compile(r"(?<![\w.,])(\d+(?:\.\d+)?)[x×](?!\w)")
_RATIO = re.compile(r"(?<![\w:.,])(\d{1,3}):(\d{1,3})(?![\w:]|[.,]\d)")
_POWER = re.compile(r"(?<=\w)(?:\^(-?\d{1,3})(?!\w)|([²³]))")
_CENTS = re.compile(r"(?<![\w.,])(\d+)\s?¢")
_COMPARED = re.compile(r"(?<!\S)([~<>])\s?(?=-?\d)")
_PER_UNIT = {"lb": "pound", "kg": "kilogram", "g": "gram", "km": "kilometer", "m": "meter", "mile": "mile",
             "l": "liter", "h": "hour", "hr": "hour", "min": "minute", "s": "second", "day": "day", "week": "week",
             "month": "month", "year": "year", "person": "person"}  # fmt: skip
_PER = re.compile(rf"(\d|\b(?:dollars?|euros?|cents?|pounds?|pence|yen|rupees))\s?/\s?({'|'.join(_PER_UNIT)})(?!\w)")
_COMPARISON = {"~": "about", "<": "less than", ">": "more than"}


def quantity_rules(numbers: Numbers) -> tuple[Rule, ...]:
    number, money = numbers.pattern, alternatives(currencies(numbers.language))
    scale = (
        r"(?:\s?(thousand|million|billion|trillion)\b|(k|K|m|M|bn|b|B|tn)\b)?" if numbers.language == "en" else "()()"
    )
    other = "," if numbers.decimal == "." else r"\."  # 1,50 € in English: two digits are never a group of three
    amount = rf"\d+{other}\d\d(?!\d)|{number}"
    before = re.compile(rf"(?<![\w])(-?)({money})\s?({amount}){scale}")
    after = re.compile(rf"(?<![\w.,])(-?)({amount})[ \u00a0\u202f]?({money})(?![\w])")
    unit = re.compile(
        rf"(?<![\w.,])([-−]?)({number})[ \u00a0\u202f]?({alternatives(UNITS)})(?![\w/°%])(?:\.(?=\s+[a-z]))?"
    )
    dash = r"\s?[-–—]\s?"
    prices = re.compile(rf"(?<![\w])({money})\s?({number}){dash}(?:{money})?\s?({number})(?![\w/-]|[.,]\d)")
    span = re.compile(rf"(?<![\w.,/-])([-−]?)({number}){dash}([-−]?)({number})(?![\w/-]|[.,]\d)")
    rules = [
        Rule(prices, lambda found: _prices(found, numbers)),
        Rule(
            before, lambda found: _sign(found[1], numbers) + _money(found[3], found[2], numbers, found[4] or found[5])
        ),
        Rule(after, lambda found: _sign(found[1], numbers) + _money(found[2], found[3], numbers, None)),
        Rule(_PHONE, lambda found: _phone(found[0], numbers)),
        Rule(unit, lambda found: _sign(found[1], numbers) + _measure(found[2], found[3], numbers)),
    ]
    if numbers.language == "en":
        rules += [*_english(numbers)]
    if numbers.language in TO:
        rules.append(Rule(span, lambda found: _span(found, numbers)))
    return tuple(rules)


def _english(numbers: Numbers) -> tuple[Rule, ...]:
    return (
        Rule(_FEET, lambda found: f"{numbers.said(found[1])} foot {numbers.said(found[2])}"),
        Rule(_GLYPH, lambda found: _fraction(found[1], *_GLYPHS[found[2]], numbers)),
        Rule(_FRACTION, lambda found: _written_fraction(found, numbers)),
        Rule(_CENTS, lambda found: f"{numbers.said(found[1])} {_hundredths('USD', int(found[1]))}"),
        Rule(_TIMES, lambda found: " by ".join(numbers.said(part) for part in found.groups() if part)),
        Rule(_PER, lambda found: f"{found[1]} per {_PER_UNIT[found[2]]}"),
        Rule(_FOLD, lambda found: f"{numbers.said(found[1])} times"),
        Rule(_RATIO, lambda found: f"{numbers.said(found[1])} to {numbers.said(found[2])}"),
        Rule(_POWER, lambda found: _power(found, numbers)),
        Rule(_COMPARED, lambda found: f"{_COMPARISON[found[1]]} "),
    )


def _sign(minus: str, numbers: Numbers) -> str:
    return f"{numbers.minus} " if minus else ""


def _money(amount: str, sign: str, numbers: Numbers, scale: str | None) -> str:
    """Whole units and hundredths, or the amount with its scale and the currency behind both."""
    if re.fullmatch(r"\d+[.,]\d\d", amount):
        amount = re.sub("[.,]", numbers.decimal, amount)
    value, code = numbers.value(amount), currencies(numbers.language)[sign]
    if scale:
        many = currency_name(Decimal(2), code, numbers.language)
        return f"{numbers.counted(value, amount)} {_SCALES.get(scale, scale)} {many}"
    whole, rest = divmod(value, 1)
    if rest and (rest * 100) % 1:
        return f"{numbers.counted(value, amount)} {currency_name(value, code, numbers.language)}"
    words = f"{numbers.before_noun(int(whole))} {currency_name(whole, code, numbers.language)}"
    if not rest:
        return words
    cents = numbers.words(int(rest * 100))
    if numbers.language != "en":
        return f"{words} {cents}"
    cents = f"{cents} {_hundredths(code, int(rest * 100))}"
    return f"{words} and {cents}" if whole else cents


def _prices(found: re.Match, numbers: Numbers) -> str:
    if numbers.language not in TO:
        raise Unsayable(found[0])
    return f"{numbers.said(found[2])} {TO[numbers.language]} {_money(found[3], found[1], numbers, None)}"


def _hundredths(code: str, count: int) -> str:
    if code == "GBP":
        return "penny" if count == 1 else "pence"
    return "cent" if count == 1 else "cents"


def _measure(amount: str, sign: str, numbers: Numbers) -> str:
    value = numbers.value(amount)
    whole = value == value.to_integral_value()
    words = numbers.before_noun(int(value)) if whole else numbers.counted(value, amount)
    return with_unit(value, words, sign, numbers.language)


def _span(found: re.Match, numbers: Numbers) -> str:
    sides = [_sign(found[1], numbers) + numbers.said(found[2]), _sign(found[3], numbers) + numbers.said(found[4])]
    model = numbers.value(found[2]) > max(Decimal(100), numbers.value(found[4]))  # 747-400 is no range
    return (" " if model else f" {TO[numbers.language]} ").join(sides)


def _power(found: re.Match, numbers: Numbers) -> str:
    if found[2]:
        return " squared" if found[2] == "²" else " cubed"
    return f" to the power of {_sign('-' if found[1][0] == '-' else '', numbers)}{numbers.said(found[1].lstrip('-'))}"


def _written_fraction(found: re.Match, numbers: Numbers) -> str:
    """3/4 of it, 2 1/2; a month and a day, as in `on 3/4` and 9/11, are read as they stand."""
    before, top, bottom = found[1] or "", int(found[2]), int(found[3])
    if before.lower().strip(",") in _DATED or top >= bottom:
        raise Unsayable(found[0])
    if before.isdecimal():
        return _fraction(before, top, bottom, numbers)
    return f"{before} {_fraction(None, top, bottom, numbers)}".strip()


def _fraction(whole: str | None, top: int, bottom: int, numbers: Numbers) -> str:
    """`2 1/2` is two and a half."""
    names = {2: ("half", "halves"), 4: ("quarter", "quarters")}
    one = numbers.words(bottom, "ordinal")
    single, plural = names.get(bottom, (one, f"{one}s"))
    part = f"{numbers.words(top)} {single if top == 1 else plural}"
    if not whole:
        return part
    return f"{numbers.said(whole)} and {'a ' + single if top == 1 else part}"


def _phone(written: str, numbers: Numbers) -> str:
    groups = [numbers.digits(group) for group in re.findall(r"\d+", written)]
    if sum(map(str.isdecimal, written)) < 7 and written[0] not in "+0" and written.count("-") < 2:
        raise Unsayable(written)
    return ("plus " if written.startswith("+") and numbers.language in ("en", "de", "fr") else "") + ", ".join(groups)
