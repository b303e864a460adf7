"""Signs and money as the words that a reader says for them."""

from __future__ import annotations

import re

CURRENCIES = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¥": ("yen", "yen")}
_AMOUNT = r"\d++(?:,\d{3})*+(?:\.\d++)?+"  # gives nothing back: a text of digits costs no more than its length
_SCALE = r"(?:\s?(?:thousand|million|billion|trillion)\b)?"
_BEFORE = re.compile(rf"(?:\bUS)?([{''.join(CURRENCIES)}])\s?({_AMOUNT})({_SCALE})", re.I)
_AFTER = re.compile(rf"(?<![\d.,])({_AMOUNT})\s?([{''.join(CURRENCIES)}])")
_RULE = re.compile(r"([=+&~_*#<>-])\1{2,}")  # drawn, not said
SIGNS = {
    "°C": "degrees Celsius", "°F": "degrees Fahrenheit", "°": "degrees", "%": "percent", "‰": "per mille",
    "&": "and", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "≈": "about",
    "≤": "at most", "≥": "at least", "≠": "is not", "→": "to", "->": "to", "€": "euros", "£": "pounds", "¥": "yen",
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, sorted(SIGNS, key=len, reverse=True))))
_COMPARED = (  # with the same room on both sides, as a comparison is written
    (re.compile(r"(?<=\w)( ?)<\1(?=\w)"), " less than "),
    (re.compile(r"(?<=\w)( ?)>\1(?=\w)"), " greater than "),
)


def spoken(text: str) -> str:
    """The text with its signs as words, and amounts of money before their currency."""
    text = _BEFORE.sub(lambda found: _money(found[1], found[2], found[3]), _RULE.sub(" ", text))
    text = _AFTER.sub(lambda found: _money(found[2], found[1]), text)
    for sign, words in _COMPARED:
        text = sign.sub(words, text)
    return _SIGN.sub(lambda found: f" {SIGNS[found[0]]} ", text)


def _money(currency: str, amount: str, scale: str = "") -> str:
    """`$3.50` is "3 dollars 50"; a scale has the currency behind it."""
    one, many = CURRENCIES[currency]
    whole, _, rest = amount.partition(".")
    if scale or (rest and len(rest) != 2):
        return f"{amount}{scale} {many}"
    words = f"{whole} {one if whole == '1' else many}"
    return f"{words} {rest}" if rest.strip("0") else words
