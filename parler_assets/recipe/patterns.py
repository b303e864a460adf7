"""What the names of recordings and of their folders say: patterns such as `{speaker}/{style}/{id}`, and known ones.

A pattern is the end of a path without the ending of the file. `{speaker}`, `{style}`, `{gender}`, `{accent}`, `{age}`
and `{text}` are values, `{id}` is the name that the recording's text has, `{speaker:2}` takes two characters, `*` is
anything within a name, and `/` stands between folders. A recording that does not fit is no clip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import regex

PLACES = ("speaker", "style", "gender", "accent", "age", "text", "id")
LONGEST = 300
_TOKEN = re.compile(r"\{(\w+)(?::(\d{1,2}))?\}|(\*)|([^{}*]+)|(.)")


@dataclass(frozen=True)
class Known:
    """The names of a published corpus. `values` say what parts mean; those of gender are looked up by the speaker."""

    pattern: str
    about: str
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_CREMA_D = {
    "IEO": "It's eleven o'clock.", "TIE": "That is exactly what happened.", "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.", "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.", "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.", "ITS": "I think I've seen this before.", "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}  # fmt: skip
_EMO_DB = {
    "a01": "Der Lappen liegt auf dem Eisschrank.", "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}  # fmt: skip
PATTERNS = {
    "ravdess": Known("*-*-{style:2}-*-{text:2}-*-{speaker:2}", "RAVDESS: 03-01-06-01-02-01-12", {
        "style": {f"{place:02}": style for place, style in enumerate(_RAVDESS, 1)},
        "text": {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."},
        "gender": {f"{actor:02}": "male" if actor % 2 else "female" for actor in range(1, 25)},
    }),
    "crema-d": Known("{speaker:4}_{text:3}_{style:3}_*", "CREMA-D: 1001_DFA_ANG_XX", {
        "text": _CREMA_D, "style": {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy",
                                    "NEU": "neutral", "SAD": "sad"},
    }),
    "emo-db": Known("{speaker:2}{text:3}{style:1}*", "EmoDB: 03a01Wa", {
        "text": _EMO_DB, "style": {"W": "angry", "L": "bored", "E": "disgust", "A": "fearful", "F": "happy",
                                   "T": "sad", "N": "neutral"},
        "gender": {who: "male" if who in ("03", "10", "11", "12", "15") else "female"
                   for who in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")},
    }),
    "vctk": Known("{speaker}/{id}_mic1", "VCTK 0.92, its first microphone: p225/p225_001_mic1, txt/p225/p225_001.txt"),
    "vctk-0.80": Known("wav48/{speaker}/{id}", "VCTK 0.80: wav48/p225/p225_001"),
    "esd": Known("{speaker:4}/*/{id}", "ESD: 0011/Angry/0011_000351 and 0011/0011.txt with texts and emotions"),
    "libritts": Known("{speaker}/*/{id}", "LibriTTS, LibriSpeech: 84/121123/84_121123_000007_000001"),
}  # fmt: skip


def expression_of(pattern: str) -> regex.Pattern[str]:
    """The regular expression of a pattern, for paths with `/` and without the ending. Give its matches a `timeout`:
    a recipe of somebody else may have one of many `*`.

    Raises:
        ValueError: it is no pattern; the message says what one consists of.
    """
    if pattern in PATTERNS:
        pattern = PATTERNS[pattern].pattern
    if len(pattern) > LONGEST or not pattern.strip("/"):
        raise ValueError(f"pattern: give 1 to {LONGEST} characters, such as {{speaker}}/{{style}}/{{id}}")
    seen: set[str] = set()
    parts = [_part(found, seen, pattern) for found in _TOKEN.finditer(pattern.strip("/"))]
    if not seen:
        raise ValueError(f"pattern {pattern!r} names nothing: it needs one of {_places()}")
    return regex.compile(rf"(?:.*/)?{''.join(parts)}", regex.IGNORECASE)


def _part(found: re.Match[str], seen: set[str], pattern: str) -> str:
    name, length, star, plain, strange = found.groups()
    if strange or (name and name not in PLACES):
        known = ", ".join(f"{which} ({known.about})" for which, known in PATTERNS.items())
        raise ValueError(f"pattern {pattern!r}: it is none of {known}, and consists of {_places()}, * and plain text")
    if star:
        return "[^/]*?"
    if plain:
        return re.escape(plain)
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>[^/]{'{' + length + '}' if length else '+?'})"


def _places() -> str:
    return ", ".join(f"{{{name}}}" for name in PLACES)
