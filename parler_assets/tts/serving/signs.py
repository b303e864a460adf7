"""What a message has and a training text has not: drawn lines, comparisons, signs of formulas, compatibility letters.

Numbers, money, dates and the common signs are `speech.text`'s, for training texts and requests alike.
"""

from __future__ import annotations

import re
import unicodedata

_RULE = re.compile(r"([=+&~_*#<>-])\1{2,}")  # drawn, not said
_SIGNS = {
    "->": "to", "∞": "infinity", "√": "square root of", "∑": "sum of", "π": "pi", "®": "registered", "™": "trademark",
    "№": "number", "¢": "cents", "×": "times", "÷": "divided by",
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_POWERS = {"²": "squared", "³": "cubed"}
_POWER = re.compile(r"(?<=\w)([²³])|(?<=\w)\^([23])(?!\w)")
_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_NO_FRACTIONS = re.compile(r"[^¼-¾⅐-⅞]+")  # which NFKC would take apart
_COMPARED = (  # with the same room on both sides, as a comparison is written
    (re.compile(r"(?<=\w)( ?)<\1(?=\w)"), " less than "),
    (re.compile(r"(?<=\w)( ?)>\1(?=\w)"), " greater than "),
)


def plain_signs(text: str) -> str:
    """The text with these as words, in the letters that everything else is looked for in (NFKC)."""
    text = _FRACTION.sub(" ", _RULE.sub(" ", text))
    text = _POWER.sub(lambda found: f" {_POWERS[found[1] or '²³'[int(found[2]) - 2]]}", text)
    for sign, words in _COMPARED:
        text = sign.sub(words, text)
    text = _SIGN.sub(lambda found: f" {_SIGNS[found[0]]} ", text)
    return _NO_FRACTIONS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
