"""Sections of the recipe as Dagster resources: their values are the Launchpad's documented defaults.

A tool shared by all corpora (the tagger, the description writer, ...) is one resource, so that the Launchpad of
"Materialize all" has one block per tool. What is typed there holds for that run; the recipe file holds for all others.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model

from parler_assets.recipe import Section


class SettingsResource(dg.ConfigurableResource):
    """A section of the recipe, changeable for one run."""

    recipe_section: ClassVar[Section]

    def settings(self) -> Any:
        """The section with this run's values, checked as a recipe is.

        Raises:
            pydantic.ValidationError: a value outside what the recipe allows; it names the key.
        """
        section = type(self).recipe_section
        chosen = {name: _plain(getattr(self, name)) for name in offered(section)}
        return type(section).model_validate({**section.model_dump(), **chosen})


def settings_resource(section: Section) -> SettingsResource:
    """A resource with the fields of `section`, its values as defaults."""
    fields = {}
    for name, field in offered(section).items():
        kind_of_field, value = _shown(field.annotation, getattr(section, name))
        fields[name] = (kind_of_field, Field(default=value, description=field.description))
    kind = type(section)
    model = create_model(
        f"{kind.__name__}Settings", __base__=SettingsResource, __doc__=kind.__doc__, **cast(Any, fields)
    )
    model.recipe_section = section
    return model()


def offered(section: Section) -> dict:
    """The settings the Launchpad can show: optional parts such as `lora` too; other nested ones and sweeps are changed
    in the recipe file only.
    """
    fields = type(section).model_fields
    return {
        name: field for name, field in fields.items() if _optional(field.annotation) or not _nested(field.annotation)
    }


def _optional(annotation: Any) -> type[Section] | None:
    """The section in `Section | None`."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    alone = len(parts) == 1 and len(get_args(annotation)) == 2
    return parts[0] if alone and isinstance(parts[0], type) and issubclass(parts[0], Section) else None


def _nested(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return get_origin(annotation) is dict or any(_nested(part) for part in get_args(annotation))


def _shown(annotation: Any, value: Any) -> tuple[Any, Any]:
    """Type and default of a setting as the Launchpad can show it and read it again.

    The UI writes numbers below a millionth as `1e-8`, which YAML reads as text: those are offered as text.
    """
    part = _optional(annotation)
    if part:
        return _part_of_the_form(part) | None, value and value.model_dump()
    if isinstance(value, float) and 0 < abs(value) < 1e-6:
        return str, repr(value)
    return _plain_type(annotation), value


def _part_of_the_form(part: type[Section]) -> Any:
    """A section as a nested part of the form, with the section's own defaults and descriptions."""
    fields = {
        name: (_plain_type(field.annotation), Field(default=field.default, description=field.description))
        for name, field in part.model_fields.items()
    }
    return create_model(f"{part.__name__}Part", __base__=dg.Config, __doc__=part.__doc__, **cast(Any, fields))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _plain_type(annotation: Any) -> Any:
    """Dagster knows no list of literals: offer a list of strings, which `settings` checks."""
    listed = get_origin(annotation) is list and get_origin(get_args(annotation)[0]) is Literal
    return list[str] if listed else annotation
