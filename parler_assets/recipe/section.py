"""What every section of a recipe is: checked pydantic, with a digest and errors that name key and remedy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from parler_assets.intake.near import did_you_mean
from parler_assets.recipe.places import beside, content_of, model_beside

BY_CONTENT = {"files": "content"}  # context of a dump for digests
SHOWN, LONGEST_KEY = 20, 200  # problems that a message lists; characters of a key in it


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and the remedy."""


class Section(BaseModel):
    """Validated with the context `{"folder": ...}`, paths are taken as written in a recipe that lies there."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    FILES: ClassVar[dict[str, tuple[str, ...]]] = {}  # settings that are paths, unless they are one of these names
    MODELS: ClassVar[tuple[str, ...]] = ()  # settings that are the folder of a model, or its name on the Hub

    @model_validator(mode="before")
    @classmethod
    def _beside_the_recipe(cls, given: Any, info: ValidationInfo) -> Any:
        folder = (info.context or {}).get("folder")
        if not isinstance(given, dict) or folder is None:
            return given
        files = {n: beside(folder, given[n]) for n, names in cls.FILES.items() if _is_text(given, n, names)}
        local = given.get("engine") != "server"  # a server's models have names of its own
        return given | files | {n: model_beside(folder, given[n]) for n in cls.MODELS if local and _is_text(given, n)}

    @model_serializer(mode="wrap")
    def _by_content(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """With the context `BY_CONTENT`, files and models that are here stand by their content, wherever they lie."""
        written = handler(self)
        if info.context is not BY_CONTENT:
            return written
        named = [n for n in self.FILES if n in written and Path(str(written[n])).is_file()]
        named += [n for n in self.MODELS if n in written and Path(str(written[n])).is_absolute()]
        return written | {name: content_of(Path(written[name])) or written[name] for name in named}

    @model_validator(mode="before")
    @classmethod
    def _either_spelling(cls, given: Any) -> Any:
        """`license` is read as `licence` is."""
        if not isinstance(given, dict) or "license" not in given or "licence" not in cls.model_fields:
            return given
        if "licence" in given:
            raise ValueError("licence and license are the same key: keep one of them")
        return {("licence" if key == "license" else key): value for key, value in given.items()}


def _is_text(given: dict, name: str, besides: Sequence[str] = ()) -> bool:
    return isinstance(given.get(name), str) and bool(given[name]) and given[name] not in besides


def _unknown(place: Sequence[str | int], schema: type[Section]) -> str:
    meant = did_you_mean(str(place[-1]), keys_at(schema, place[:-1]))
    return f"unknown key: {meant or 'remove it or correct its spelling'}"


def keys_at(schema: type[Section], place: Sequence[str | int]) -> set[str]:
    """Names of the settings at `place`, the way to a section as pydantic's errors have it."""
    sections = {schema}
    for part in place:
        fields = [section.model_fields[str(part)] for section in sections if str(part) in section.model_fields]
        below = {found for field in fields for found in _sections(field.annotation)}
        sections = below or sections  # the name of a corpus, or the kind of a source, is no setting
    return {name for section in sections for name in section.model_fields}


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections that an annotation such as `dict[str, Corpus] | None` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def digest(*sections: BaseModel | dict | list | str | int | float | None) -> str:
    """Twelve hex digits that change when any of the given sections changes, or the content of a file that it names."""
    plain = [s.model_dump(mode="json", context=BY_CONTENT) if isinstance(s, BaseModel) else s for s in sections]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def explain(error: ValidationError, origin: str, schema: type[Section]) -> str:
    """Every problem of what should be a `schema` on a line of its own: key, and what to do about it."""
    lines = [f"{origin}: {error.error_count()} problem(s)"]
    for problem in error.errors(include_url=False, include_input=False)[:SHOWN]:
        key = ".".join(str(part) for part in problem["loc"]) or "recipe"
        if problem["type"] == "extra_forbidden":
            said = _unknown(problem["loc"], schema)
        else:
            said = "required: add it" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {key[:LONGEST_KEY]}: {said}")
    more = error.error_count() - SHOWN
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])
