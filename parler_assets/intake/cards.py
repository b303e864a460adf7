"""The front matter of a Hub card: the YAML between two lines of three dashes at its very beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parler_assets.intake.refusal import Refusal
from parler_assets.intake.yaml_documents import yaml_value


def front_matter(text: str, origin: Path | str) -> dict[str, Any]:
    """What a card says of itself; empty where it has no front matter.

    Raises:
        Refusal: the front matter is no YAML mapping, or goes beyond a limit of YAML documents.
    """
    start = len(text) - len(text.lstrip())
    head, _, rest = text[start:].partition("\n")
    if head.rstrip() != "---":
        return {}
    end = 0 if rest.startswith("---") else rest.find("\n---") + 1
    if not end:
        return {}
    before = text.count("\n", 0, start) + 1
    content = yaml_value(
        "\n" * before + rest[:end], origin
    )  # the lines before it, so that errors count as the file does
    if content is not None and not isinstance(content, dict):
        raise Refusal("the front matter is no mapping of keys to values", origin, before)
    return content or {}
