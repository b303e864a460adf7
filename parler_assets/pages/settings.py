"""The settings that an asset was made with, as a table of its page, and read from there again.

A value typed in the Launchpad holds for one run and leaves no other trace: the table marks it, and the asset's checks
judge by it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from parler_assets.recipe import Recipe, Section
from parler_assets.resources.settings import offered

TABLE = "settings"
COLUMNS = {
    "setting": "section and key of the recipe",
    "value": "what this run computed with, as JSON",
    "recipe": "what the recipe had then, where that is something else",
}


def settings_table(recipe: Recipe, *used: Section, only: Container[str] | None = None) -> dict[str, Any]:
    """Metadata: the settings in the sections `used` with this run's values; what differs from the recipe comes first.

    Args:
        only: names of the settings that the asset obeys; None: all that the Launchpad offers of these sections.
    """
    rows = []
    for section in used:
        name = section_name(section)
        for key in offered(section):
            mine, theirs = _value(section, key), _value(getattr(recipe, name), key)
            if only is None or key in only:
                rows.append((f"{name}.{key}", _text(mine), _text(theirs) if mine != theirs else ""))
    records = [dg.TableRecord(dict(zip(COLUMNS, row, strict=True))) for row in sorted(rows, key=lambda row: not row[2])]
    columns = [dg.TableColumn(name, "string", meaning) for name, meaning in COLUMNS.items()]
    return {TABLE: dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))}


def section_name(section: Section) -> str:
    """Key of the recipe that holds a section of this kind."""
    return next(name for name, field in Recipe.model_fields.items() if field.annotation is type(section))


def settings_in(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key to value, of a materialization's metadata; empty for one of before there was a table."""
    table = metadata.get(TABLE)
    records = table.records if isinstance(table, dg.TableMetadataValue) else []
    return {str(record.data["setting"]): json.loads(str(record.data["value"])) for record in records}


def as_made(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with the values that an asset was made with; keys that recipes have no more are left out."""
    sections: dict[str, dict[str, Any]] = {}
    for dotted, value in settings.items():
        name, _, key = dotted.partition(".")
        section = getattr(recipe, name, None)
        if isinstance(section, Section) and key in type(section).model_fields:
            sections.setdefault(name, section.model_dump())[key] = value
    try:
        made = {name: type(getattr(recipe, name)).model_validate(values) for name, values in sections.items()}
        return recipe.model_copy(update=made)
    except ValidationError:  # values that were allowed once: the recipe's are judged by, and `differences` names them
        return recipe


def differences(recipe: Recipe, settings: Mapping[str, Any]) -> list[str]:
    """What an asset was made with and the recipe has otherwise now: `binning.edges "v02", in the recipe "v01"`."""
    found = []
    for dotted, value in settings.items():
        name, _, key = dotted.partition(".")
        section = getattr(recipe, name, None)
        theirs = _value(section, key) if isinstance(section, Section) else None
        if value != theirs:
            found.append(f"{dotted} {_text(value)}, in the recipe {_text(theirs)}")
    return found


def _value(section: Section, key: str) -> Any:
    """A setting as plain data; None for one that recipes have no more."""
    return TypeAdapter(Any).dump_python(getattr(section, key, None), mode="json")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
