"""Sound files below a folder, found as tables name them: whatever the case, Unicode form, ending, or foreign path."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from parler_assets.intake import Refusal
from parler_assets.intake.folders import Folders
from parler_assets.intake.names import LONGEST_NAME, shown, text_problem
from parler_assets.speech.sources.tables import unreadable

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff", ".au")
UNREAD = (".m4a", ".aac", ".webm", ".wma", ".mp4", ".amr", ".3gp")  # no reader here knows them
LITTER = ("._", "__MACOSX")  # what other systems leave beside files


class Recordings:
    """The sound files of some folders."""

    def __init__(self, *roots: Path) -> None:
        self.folders = Folders(*roots)

    def find(self, name: str) -> tuple[Path, str | None]:
        """The file that a table means; or the first place tried, and why none is read."""
        if not name.strip():
            return self.folders.roots[0], "no recording is named: the cell is empty"
        try:
            return self.folders.find(_spellings(name)), None
        except Refusal as error:
            first, why = self.folders.roots[0] / name, unreadable(error)
        if text_problem(name) or len(name) > LONGEST_NAME:
            return first, why
        found = self._alike(name)
        if len(found) > 1:
            return first, unreadable(f"{shown(name)[:200]!r} may be {found[0]} or {found[1]}: name its folder too")
        if not found:
            return first, why
        if found[0].endswith(UNREAD):
            return first, f"this format is not read: convert it by `{conversion(found[0])}`"
        try:
            return self.folders.find([found[0]]), None
        except Refusal as error:
            return first, unreadable(error)

    def named(self, name: str) -> bool:
        return bool(name.strip()) and self.find(name)[1] is None

    @property
    def all(self) -> list[str]:
        """Paths of all sound files, relative to their folder."""
        return sorted({path for paths in self._by_tail.values() for path in paths if path.lower().endswith(SOUNDS)})

    def _alike(self, name: str) -> list[str]:
        """Files whose path ends as the name does, by as many folders of it as are found here."""
        parts = [
            part for part in folded_path(name.strip().replace("\\", "/")).split("/") if part not in ("", ".", "..")
        ]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for key in (tail, *(tail + ending for ending in (*SOUNDS, *UNREAD))):
                if found := self._by_tail.get(key):
                    return sorted(set(found))
        return []

    @cached_property
    def _by_tail(self) -> dict[str, list[str]]:
        """Every end of every sound file's path, folded, to the paths that end so."""
        found: dict[str, list[str]] = defaultdict(list)
        for root in self.folders.roots:
            for place, folders, files in os.walk(root):
                folders[:] = sorted(name for name in folders if not name.startswith((".", *LITTER)))
                for file in sorted(files):
                    if file.startswith(".") or not file.lower().endswith((*SOUNDS, *UNREAD)):
                        continue
                    path = os.path.relpath(os.path.join(place, file), root).replace(os.sep, "/")
                    parts = folded_path(path).split("/")
                    for start in range(len(parts)):
                        found["/".join(parts[start:])].append(path)
        return found


def conversion(name: str) -> str:
    """The command that makes a readable file of one that is not."""
    quoted = name.replace("'", "'\\''")
    return f"ffmpeg -i '{quoted}' '{os.path.splitext(quoted)[0]}.flac'"


def _spellings(name: str) -> list[str]:
    """What a table may mean: the file with or without its ending, beside it or in LJSpeech's folder."""
    return [place + name + ending for ending in ("", *SOUNDS) for place in ("", "wavs/")]


def folded_path(name: str) -> str:
    """As names of files are compared."""
    return unicodedata.normalize("NFC", name).casefold()
