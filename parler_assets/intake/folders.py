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

        Raises:
            Refusal: there is none. The message is the same whether a file lies elsewhere or nowhere.
        """
        tried = [os.fspath(name) for name in names]
        for name in tried:
            for root in self.roots:
                real = self._inside(root, name)
                if real is not None:
                    return Path(real)
        places = " or ".join(map(str, self.roots))
        raise Refusal(f"no regular file {shown(tried[0])[:200]!r} in {places}, and no other place is read")

    def _inside(self, root: Path, name: str) -> str | None:
        if text_problem(name) or len(name) > LONGEST_NAME:
            return None
        try:
            real = self._resolved(os.path.join(root, name))
            below = any(real.startswith(folder.rstrip(os.sep) + os.sep) for folder in self._real)
            return real if below and stat.S_ISREG(os.lstat(real).st_mode) else None
        except OSError:
            return None

    def _resolved(self, path: str) -> str:
        """`realpath`, with the folders of earlier names remembered: tables name thousands of files of one folder."""
        parent, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        whole = os.path.join(self._parents[parent], name)
        return os.path.realpath(whole) if os.path.islink(whole) else whole
