"""Numbers in the words of a language, by num2words; the marks that a language writes them with, by Babel's CLDR."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

IN_A_ROW = 7  # digits without a mark between them: a telephone number, not a count
LONGEST = 15  # digits; a longer number is read digit by digit
MINUS = {"fr": "moins", "es": "menos", "it": "meno", "pt": "menos", "nl": "min", "ru": "минус", "ro": "minus"}
_SPACES = " \u00a0\u202f"


class Unsayable(ValueError):
    """A number for which the language has no words here; it stays as it is written."""


@dataclass(frozen=True)
class Numbers:
    """How one language writes and says numbers."""

    language: str
    decimal: str
    group: str

    @property
    def pattern(self) -> str:
        """A number without sign, with its groups of three and its fraction, as a regular expression without groups."""
        group = "[ \u00a0\u202f]" if self.group in _SPACES else re.escape(self.group)
        wide = r"\d{1,3}(?:[\u00a0\u202f]\d{3}){1,4}(?!\d)|[1-9]\d{0,2}(?: \d{3}){0,3} 000(?! ?\d)"
        lakhs = r"|\d{1,2}(?:,\d\d){1,4},\d{3}(?!\d)" if self.group == "," else ""
        return rf"(?:\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|{wide}{lakhs}|\d+)(?:{re.escape(self.decimal)}\d+)?"

    def value(self, written: str) -> Decimal:
        plain = re.sub(r"\s", "", written)
        if self.group not in _SPACES:
            plain = plain.replace(self.group, "")
        return Decimal(plain.replace(self.decimal, "."))

    def said(self, written: str) -> str:
        """A number as it is counted; one with a leading zero or of many digits in a row digit by digit."""
        if re.fullmatch(r"[1-9]\d*000", written) and len(written) <= LONGEST:
            return self.counted(self.value(written))
        if re.fullmatch(r"0\d+", written) or re.fullmatch(rf"\d{{{IN_A_ROW},}}", written) or len(written) > LONGEST:
            return self.digits(written)
        return self.counted(self.value(written), written)

    def counted(self, value: Decimal, written: str = "") -> str:
        whole = value == value.to_integral_value()
        after = written.partition(self.decimal)[2]
        if self.language == "en" and after:  # the digits as they are written, 2.50 too
            return f"{self.words(int(value))} point {self.digits(after)}"
        return self.words(int(value) if whole else value)

    def counted_below_zero(self, written: str) -> str:
        return f"{self.minus} {self.said(written)}"

    def before_noun(self, number: int) -> str:
        """`ein Kilogramm`, not `eins`: the one that stands before what is counted."""
        return {"de": "ein"}.get(self.language, self.words(1)) if number == 1 else self.words(number)

    @property
    def minus(self) -> str:
        return MINUS.get(self.language.partition("_")[0], "minus")

    def digits(self, written: str) -> str:
        return " ".join(self.words(int(digit)) for digit in written if digit.isdecimal())

    def words(self, number: int | Decimal, kind: str = "cardinal") -> str:
        """The words of a number; `kind` is cardinal, ordinal or year, and what a language lacks is a cardinal."""
        found = _words(number, self.language, kind) or _words(number, self.language, "cardinal")
        if not found or any(character.isdecimal() for character in found):
            raise Unsayable(str(number))
        return found


@lru_cache(maxsize=256)
def numbers_of(language: str) -> Numbers | None:
    """None where num2words does not know the language."""
    from babel import Locale, UnknownLocaleError
    from babel.numbers import get_decimal_symbol, get_group_symbol
    from num2words import CONVERTER_CLASSES

    if language not in CONVERTER_CLASSES:
        return None
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return None
    return Numbers(language, get_decimal_symbol(locale), get_group_symbol(locale))


@lru_cache(maxsize=1 << 16)
def _words(number: int | Decimal, language: str, kind: str) -> str:
    from num2words import num2words

    if number < 0:
        return ""
    try:
        found = str(num2words(number, lang=language, to=kind))
    except (NotImplementedError, TypeError, ValueError, KeyError, IndexError, OverflowError, InvalidOperation):
        return ""
    return " ".join(found.replace(",", "").split())
