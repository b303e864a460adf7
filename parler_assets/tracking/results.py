"""Where an asset's result lies and which MLflow run has it: `result.json` in the asset's folder."""

from __future__ import annotations

from pathlib import Path

FILE = "result.json"
PATHS = ("path", "checkpoint")
PACKAGE, OURS = "(package)", Path(__file__).resolve().parents[1]  # what is shipped is found wherever that is now


def remember(folder: Path, **facts: str | None) -> None:
    """Keep facts about the result in `folder`, for the assets below it and for the next run.

    Paths inside the folder are kept relative to it, so that a workspace may be moved or copied.
    """
    kept = {name: _relative(folder, value) if name in PATHS and value else value for name, value in facts.items()}
    _schema().write(folder / FILE, kept)


def remembered(folder: Path) -> dict[str, str]:
    """What `remember` kept; empty when there is nothing, or, with a warning, when it is damaged."""
    found = _schema().find(folder / FILE, f"materialize {folder.name} again: what it computed is kept") or {}
    return {name: _absolute(folder, value) if name in PATHS and value else value for name, value in found.items()}


def _relative(folder: Path, value: str) -> str:
    path, home = Path(value).absolute(), folder.absolute()
    if path.is_relative_to(home):
        return str(path.relative_to(home))
    return f"{PACKAGE}/{path.relative_to(OURS)}" if path.is_relative_to(OURS) else value


def _absolute(folder: Path, value: str) -> str:
    """Where a path of a record is now. Records of before have whole paths, of where the workspace lay then."""
    path = Path(value)
    if path.parts[0] == PACKAGE:
        return str(OURS.joinpath(*path.parts[1:]))
    if not path.is_absolute():
        return str(folder / path)
    _, found, inside = value.rpartition(f"/{folder.parent.name}/{folder.name}/")
    return str(folder / inside) if found and (folder / inside).exists() else value


def _schema():
    from parler_assets.storage import Schema

    return Schema("result")
