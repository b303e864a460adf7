"""Which pattern the recordings of a folder without a table follow: a known corpus's, or what their folders tell."""

from __future__ import annotations

import os
from collections.abc import Sequence

from parler_assets.recipe import FolderSource
from parler_assets.recipe.patterns import PATTERNS
from parler_assets.recipe.spellings import gender_of, style_of
from parler_assets.speech.sources.beside import PLAIN_FOLDERS
from parler_assets.speech.sources.by_content import STYLES
from parler_assets.speech.sources.named import named

CERTAIN = 0.9  # share of recordings that must fit a known pattern


def pattern_of(source: FolderSource, paths: Sequence[str], speaker: bool = False) -> str | None:
    """The pattern to write into a recipe; None where names and folders tell nothing.

    Args:
        paths: of the recordings in the folder.
        speaker: somebody was named who speaks all of them, so that folders are no speakers.
    """
    for name, known in PATTERNS.items():
        if known.values and _share(source.model_copy(update={"pattern": name}), paths) >= CERTAIN:
            return name
    if speaker or not paths:
        return None
    if sum("_mic1." in path for path in paths) * 3 > len(paths) and any("_mic2." in path for path in paths):
        return "vctk"
    return by_folders(paths)


def by_folders(paths: Sequence[str]) -> str | None:
    """`{speaker}/{style}/*`, where all recordings lie equally deep and one level of folders can be the speakers."""
    levels = list(zip(*(os.path.dirname(path).split("/") for path in paths), strict=False))
    if len({path.count("/") for path in paths}) != 1 or not any(levels[0] if levels else ()):
        return None
    parts, seen = [], set[str]()
    for names in levels:
        kind = _kind(set(names))
        place = kind if kind not in seen else None
        parts.append(f"{{{place}}}" if place else "*")
        seen |= {place} if place else set()
    return "/".join([*parts, "{id}"]) if seen else None


def _kind(names: set[str]) -> str | None:
    if all(map(PLAIN_FOLDERS.fullmatch, names)):
        return None
    if {style_of(name) for name in names} <= STYLES:
        return "style"
    if all(map(gender_of, names)):
        return "gender"
    return "speaker" if len(names) > 1 else None


def _share(source: FolderSource, paths: Sequence[str]) -> float:
    fitting = [said for path in paths if (said := named(path, source)) and said.problem is None]
    return len(fitting) / max(1, len(paths))
