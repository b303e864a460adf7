"""What every section of a recipe is: checked pydantic, with a digest and errors that name key and remedy."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

SHOWN, LONGEST_KEY = 20, 200  # problems that a message lists; characters of a key in it


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _either_spelling(cls, given: Any) -> Any:
        """`license` is read as `licence` is."""
        if not isinstance(given, dict) or "license" not in given or "licence" not in cls.model_fields:
            return given
        if "licence" in given:
            raise ValueError("licence and license are the same key: keep one of them")
        return {("licence" if key == "license" else key): value for key, value in given.items()}


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
