"""What the licences of corpora and base checkpoint allow for a checkpoint trained on them.

No legal advice: the rules refuse what is plainly forbidden or unknown, and leave the rest to a person.
"""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN = {"unknown", "not stated", "other", "proprietary", "none", ""}


def licence_problems(sources: Mapping[str, str], wanted: str) -> list[str]:
    """Why something made of `sources` (name to licences, separated by commas) must not be published as `wanted`."""
    problems = []
    for name, stated in sources.items():
        for licence in (part.strip() for part in stated.split(",")):
            problem = _problem(licence, wanted)
            if problem:
                problems.append(f"{name} ({licence}): {problem}")
    return problems


def _problem(licence: str, wanted: str) -> str | None:
    parts, target = licence.upper().split("-"), wanted.upper().split("-")
    if licence.lower() in UNKNOWN:
        return "its licence is not known: find it out and state it in the recipe, or leave it out"
    if "ND" in parts:
        return "allows no derivatives, and a checkpoint may be one: leave it out"
    if "NC" in parts and "NC" not in target:
        return f"allows no commercial use, {wanted} does: set release.licence to one with NC"
    if "SA" in parts and target[: len(parts)] != parts:
        return f"asks for the same licence, not {wanted}: set release.licence to it"
    return None
