"""What somebody most likely meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 100  # characters: comparing longer ones takes too long, and nobody meant them
LIKE = 0.6  # how alike two names are, from 0 to 1, before one is offered for the other


def nearest(written: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are most like what was written, whatever its case; the most alike first."""
    if len(written) > LONGEST:
        return []
    names = {name.casefold(): name for name in known}
    return [names[found] for found in get_close_matches(written.casefold(), names, n=most, cutoff=LIKE)]


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """`did you mean happy?`; empty where nothing is like it."""
    found = nearest(written, known)
    return f"did you mean {' or '.join(found)}?" if found else ""
