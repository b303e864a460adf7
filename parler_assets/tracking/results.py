"""Where an asset's result lies and which MLflow run has it: `result.json` in the asset's folder."""

from __future__ import annotations

import json
from pathlib import Path

FILE = "result.json"


def remember(folder: Path, **facts: str | None) -> None:
    """Keep facts about the result in `folder`, for the assets below it and for the next run."""
    from parler_assets.storage import write_json

    write_json(folder / FILE, facts)


def remembered(folder: Path) -> dict[str, str]:
    """What `remember` kept; empty when there is nothing that can be read."""
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
