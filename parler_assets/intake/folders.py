"""Names of files in tables and indexes, which may lead nowhere but below given folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from parler_assets.intake.names import LONGEST_NAME, shown, text_problem
from parler_assets.intake.refusal import Refusal


class Folders:
    """Folders whose files may be read. A link counts as what it leads to."""

    def __init__(self, *roots: Path) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self._real = [os.path.realpath(root) for root in self.roots]
        self._parents: dict[str, str] = {}

    def find(self, names: Iterable[str | os.PathLike[str]]) -> Path:
        """The first of these names, each tried in every folder, that is a regular file below one of the folders.

        Names are relative to a folder, or absolute; links on the way are part of the path that is given back.

        Raises:
            Refusal: there is none. The message is the same whether a file lies elsewhere or nowhere.
        """
        tried = [os.fspath(name) for name in names]
        for name in tried:
            for root in self.roots:
                if self._holds(root, name):
                    return root / name
        places = " or ".join(map(str, self.roots))
        raise Refusal(f"no regular file {shown(tried[0])[:200]!r} in {places}, and no other place is read")

    def _holds(self, root: Path, name: str) -> bool:
        if text_problem(name) or len(name) > LONGEST_NAME:
            return False
        try:
            real, mode = self._resolved(os.path.join(root, name))
            return stat.S_ISREG(mode) and any(real.startswith(folder.rstrip(os.sep) + os.sep) for folder in self._real)
        except OSError:
            return False

    def _resolved(self, path: str) -> tuple[str, int]:
        """`realpath` and mode, with the folders of earlier names remembered: tables name thousands of files of one."""
        parent, name = os.path.split(path)
        if name in ("", ".", ".."):
            real = os.path.realpath(path)
            return real, os.lstat(real).st_mode
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        real = os.path.join(self._parents[parent], name)
        mode = os.lstat(real).st_mode
        if stat.S_ISLNK(mode):
            real = os.path.realpath(real)
            mode = os.lstat(real).st_mode
        return real, mode
