"""The part of SSML that is understood: breaks, emphasis and what is said in place of something; other tags are removed.

A break becomes a mark within the text, two characters of the private use area around its milliseconds, which no request
can bring along: `decodable` takes them out.
"""

from __future__ import annotations

import re

from parler_assets.tts.serving.markup import ATTRIBUTES

LONGEST = 10.0  # seconds of one break
OPEN, CLOSE = "\ue000", "\ue001"
STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.2}
_BREAK = re.compile(rf"<break({ATTRIBUTES})/?>(?:\s*</break\s*>)?", re.I)
_EMPHASIS = re.compile(rf"<emphasis({ATTRIBUTES})>([^<>]{{0,200}})</emphasis\s*>", re.I)
_SUB = re.compile(rf"<sub({ATTRIBUTES})>[^<>]{{0,1000}}</sub\s*>", re.I)
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)", re.I)
MARK = re.compile(rf"{OPEN}(\d+){CLOSE}")


class SsmlError(ValueError):
    """A tag that says something impossible; the message says how to write it."""


def marked(text: str) -> str:
    """The text with breaks as marks, stressed words as `*word*`, and aliases in place of what they stand for."""
    text = _SUB.sub(lambda found: _attribute(found[1], "alias") or found[0], text)
    text = _EMPHASIS.sub(_emphasized, text)
    return _BREAK.sub(lambda found: f" {OPEN}{round(1000 * _seconds(found[1]))}{CLOSE} ", text)


def divided(text: str) -> list[tuple[str, float | None]]:
    """What stands between breaks, each with the seconds of silence behind it; None behind the last."""
    pieces = MARK.split(text)
    pauses = [*(int(length) / 1000 for length in pieces[1::2]), None]
    return list(zip(pieces[::2], pauses, strict=True))


def _emphasized(found: re.Match) -> str:
    words = found[2].strip().strip("*")
    return words if not words or _attribute(found[1], "level") in ("none", "reduced") else f"*{words}*"


def _seconds(attributes: str) -> float:
    time, strength = _attribute(attributes, "time"), _attribute(attributes, "strength")
    if time is None:
        if strength is not None and strength not in STRENGTHS:
            raise SsmlError(f"break strength {strength[:20]!r}: write one of {', '.join(STRENGTHS)}, or a time")
        return STRENGTHS[strength or "medium"]
    found = _TIME.fullmatch(time.strip())
    if not found:
        raise SsmlError(f"break time {time[:20]!r}: write seconds or milliseconds, such as 1.5s or 300ms")
    seconds = float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
    if seconds > LONGEST:
        raise SsmlError(f"break of {seconds:g} s, at most {LONGEST:g}: write several")
    return seconds


def _attribute(attributes: str, name: str) -> str | None:
    found = re.search(rf"""(?:^|\s){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""", attributes, re.I)
    return next((value for value in found.groups() if value is not None), "") if found else None
