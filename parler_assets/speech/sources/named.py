"""What the paths of recordings say by a source's pattern."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from parler_assets.recipe import FolderSource
from parler_assets.recipe.patterns import PATTERNS, expression_of

LONGEST = 1000  # characters of a path that is compared with a pattern
SECONDS = 0.1  # in which it is compared


@dataclass(frozen=True)
class Named:
    """What a path says: values of speaker, style, gender, accent, age and text, and the name that its text has."""

    id: str
    values: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


def named(path: str, source: FolderSource) -> Named | None:
    """What the relative path of a recording says; None where the source's pattern does not fit it."""
    plain = os.path.splitext(path)[0]
    own = os.path.basename(plain)
    if source.pattern is None:
        return Named(own)
    try:
        match = _expression(source.pattern).fullmatch(plain, timeout=SECONDS) if len(plain) <= LONGEST else None
    except TimeoutError:
        return Named(own, problem=f"its path takes too long to compare with {source.pattern!r}: use fewer * in it")
    if match is None:
        return None
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    name, meanings = found.pop("id", own), meanings_of(source)
    strange = next((key for key, value in found.items() if key in meanings and value not in meanings[key]), None)
    if strange:
        known = ", ".join(list(meanings[strange])[:8])
        return Named(
            name, problem=f"{strange} of its name: {found[strange]!r} is none of {known}: see values.{strange}"
        )
    said = {key: meanings[key][value] if key in meanings else value for key, value in found.items()}
    for key in ("gender", "accent", "age"):
        if key not in found and found.get("speaker") in meanings.get(key, {}):
            said[key] = meanings[key][found["speaker"]]
    if "text" in said and "text" not in meanings:
        said["text"] = said["text"].replace("_", " ")
    return Named(name, said)


def meanings_of(source: FolderSource) -> Mapping[str, Mapping[str, str]]:
    """What parts of a path mean: as a known pattern has it, and as the recipe does."""
    known = PATTERNS[source.pattern].values if source.pattern in PATTERNS else {}
    places = {*known, *source.values}
    return {place: {**known.get(place, {}), **source.values.get(place, {})} for place in places}  # type: ignore[call-overload]


@lru_cache(maxsize=16)
def _expression(pattern: str):
    return expression_of(pattern)
