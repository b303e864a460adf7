"""What a rule of normalisation is: a pattern, and the words for what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from parler_assets.speech.text.numbers import Unsayable


@dataclass(frozen=True)
class Rule:
    """`say` gives the words for a match; where it cannot (`Unsayable`), the text stays as it is."""

    pattern: re.Pattern
    say: Callable[[re.Match], str]


def replaced(text: str, rule: Rule) -> str:
    def say(found: re.Match) -> str:
        try:
            return rule.say(found)
        except (Unsayable, ArithmeticError, ValueError):
            return found[0]

    return rule.pattern.sub(say, text)
