"""What every section of a recipe is: checked pydantic, with a digest and errors that name key and remedy."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict, ValidationError

SHOWN, LONGEST_KEY = 20, 200  # problems that a message lists; characters of a key in it


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def digest(*sections: BaseModel | dict | list | str | int | float | None) -> str:
    """Twelve hex digits that change when any of the given sections changes."""
    plain = [s.model_dump(mode="json") if isinstance(s, BaseModel) else s for s in sections]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def explain(error: ValidationError, origin: str) -> str:
    """Every problem on a line of its own: key, and what to do about it."""
    lines = [f"{origin}: {error.error_count()} problem(s)"]
    for problem in error.errors(include_url=False, include_input=False)[:SHOWN]:
        key = ".".join(str(part) for part in problem["loc"]) or "recipe"
        remedy = {
            "extra_forbidden": "unknown key: remove it or correct its spelling",
            "missing": "required: add it",
        }.get(problem["type"])
        lines.append(f"  {key[:LONGEST_KEY]}: {remedy or problem['msg'].removeprefix('Value error, ')}")
    more = error.error_count() - SHOWN
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])
