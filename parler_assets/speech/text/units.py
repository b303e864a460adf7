"""Units and currencies in words, their plurals included, by Babel's CLDR."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

# Sign to CLDR's name. Letters that are also words ("in") or pronouns are left out.
UNITS = {
    "km/h": "speed-kilometer-per-hour", "mph": "speed-mile-per-hour", "m/s": "speed-meter-per-second",
    "m²": "area-square-meter", "km²": "area-square-kilometer", "cm²": "area-square-centimeter", "ha": "area-hectare",
    "ft²": "area-square-foot", "sq ft": "area-square-foot", "m³": "volume-cubic-meter",
    "km": "length-kilometer", "cm": "length-centimeter", "mm": "length-millimeter", "m": "length-meter",
    "mi": "length-mile", "ft": "length-foot", "yd": "length-yard",
    "kg": "mass-kilogram", "mg": "mass-milligram", "g": "mass-gram", "lbs": "mass-pound", "lb": "mass-pound",
    "oz": "mass-ounce", "l": "volume-liter", "L": "volume-liter", "ml": "volume-milliliter", "mL": "volume-milliliter",
    "ms": "duration-millisecond", "sec": "duration-second", "s": "duration-second", "min": "duration-minute",
    "hrs": "duration-hour", "hr": "duration-hour", "h": "duration-hour",
    "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz", "Hz": "frequency-hertz",
    "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte", "GB": "digital-gigabyte",
    "TB": "digital-terabyte", "kW": "power-kilowatt", "MW": "power-megawatt", "W": "power-watt",
    "V": "electric-volt", "kWh": "energy-kilowatt-hour", "kcal": "energy-kilocalorie",
    "°C": "temperature-celsius", "°F": "temperature-fahrenheit", "°": "angle-degree",
    "%": "concentr-percent", "‰": "concentr-permille",
}  # fmt: skip
CURRENCIES = {
    "$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "zł": "PLN", "R$": "BRL",
    "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "MX$": "MXN",
    "₩": "KRW", "₺": "TRY", "₴": "UAH", "₪": "ILS", "₫": "VND", "฿": "THB", "₦": "NGN", "₱": "PHP", "Kč": "CZK",
    "Fr.": "CHF", "元": "CNY", "Rs.": "INR", "Rs": "INR",
}  # fmt: skip
CURRENCIES |= {code: code for code in ("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "INR", "PLN", "RUB", "CNY",
                                       "BRL", "KRW", "MXN", "SEK", "NOK", "DKK", "CZK", "HUF", "TRY", "UAH", "ILS",
                                       "ZAR", "NZD", "HKD", "SGD", "RON", "THB")}  # fmt: skip
LOCAL = {"sv": {"kr": "SEK"}, "da": {"kr": "DKK"}, "no": {"kr": "NOK"}, "nb": {"kr": "NOK"}, "cs": {"Kč": "CZK"},
         "hu": {"Ft": "HUF"}, "ro": {"lei": "RON"}}  # fmt: skip
_SHORT = {  # what people say for these in English
    "USD": ("dollar", "dollars"), "GBP": ("pound", "pounds"), "JPY": ("yen", "yen"), "INR": ("rupee", "rupees"),
    "CHF": ("franc", "francs"), "PLN": ("zloty", "zlotys"), "RUB": ("ruble", "rubles"), "CNY": ("yuan", "yuan"),
    "BRL": ("real", "reais"), "KRW": ("won", "won"), "TRY": ("lira", "lira"), "ILS": ("shekel", "shekels"),
    "VND": ("dong", "dong"), "THB": ("baht", "baht"), "NGN": ("naira", "naira"), "PHP": ("peso", "pesos"),
    "UAH": ("hryvnia", "hryvnias"), "CZK": ("koruna", "korunas"),
}  # fmt: skip


def alternatives(signs: dict[str, str]) -> str:
    """A regular expression of any of these signs, the longest first."""
    return "|".join(map(re.escape, sorted(signs, key=len, reverse=True)))


@lru_cache(maxsize=4096)
def with_unit(value: Decimal, words: str, sign: str, language: str) -> str:
    """`five kilograms`: the number in words, the unit as CLDR declines it."""
    from babel.numbers import format_decimal
    from babel.units import format_unit

    number = format_decimal(value, locale=language, decimal_quantization=False)
    found = format_unit(value, UNITS[sign], "long", format="#,##0.##########", locale=language)
    plain = found.replace("\u00a0", " ").replace(number.replace("\u00a0", " "), f" {words} ", 1)
    return " ".join(plain.split())


@lru_cache(maxsize=4096)
def currency_name(value: Decimal, code: str, language: str) -> str:
    from babel.numbers import get_currency_name

    if language == "en" and code in _SHORT:
        return _SHORT[code][value != 1]
    return get_currency_name(code, count=value, locale=language)


def currencies(language: str) -> dict[str, str]:
    """Sign to code, those of the language included."""
    return CURRENCIES | LOCAL.get(language.partition("_")[0], {})
