"""Names that descriptions can say, made of what a table calls its speakers: never two speakers under one name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from parler_assets.recipe.names import LONGEST, sayable

PLAIN = "Speaker"
NOBODY = "Anonymous"  # who speaks in rows that name nobody


def speaker_names(ids: Iterable[str]) -> dict[str, str]:
    """Id to name, every name once. `spk_ann` is Spk Ann, `103` is Speaker 103, a long hash is Speaker 1."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for place, raw in enumerate(ids, 1):
        name = _readable(raw)
        if not sayable("name", name) or _is_hash(raw):
            name = f"{PLAIN} {place}"
        found[raw] = _unlike(name, taken)
        taken.add(found[raw].casefold())
    return found


def _readable(raw: str) -> str:
    """Letters of every script, apostrophes and hyphens stay what they are: Jürgen, O'Brien, Anna-Marie."""
    text = unicodedata.normalize("NFC", raw).strip()
    if sayable("name", text) and not re.search(r"[_.\d]", text) and not text.islower():
        return text
    words = [word for word in re.split(r"[^\w'’]+|_", text) if word]
    name = " ".join(word[:1].upper() + word[1:] for word in words)
    return f"{PLAIN} {name}" if name[:1].isdigit() else name


def _is_hash(raw: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F-]{16,}", raw)) or len(raw) > LONGEST


def _unlike(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where another speaker has it already."""
    number, chosen = 2, name
    while chosen.casefold() in taken:
        chosen = f"{name} {number}"
        number += 1
    return chosen
