"""Every answer of a language model, kept under a digest of all it depended on. A killed process loses no finished one.

A SQLite file with a write-ahead log: a transaction is there completely or not at all, and several lanes may share it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from parler_assets.storage import disk

_WAIT = 60.0  # seconds for another process's transaction
_ASKED = 500  # keys in one query


class Store:
    """Answers by key. Reads and writes whole batches; safe to be used by several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=_WAIT)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"
            )

    def get(self, keys: Iterable[str]) -> dict[str, str]:
        """The answers that are there."""
        wanted, found = list(keys), dict[str, str]()
        for start in range(0, len(wanted), _ASKED):
            some = wanted[start : start + _ASKED]
            marks = ",".join("?" * len(some))
            found.update(self._base.execute(f"SELECT key, text FROM answers WHERE key IN ({marks})", some))
        return found

    def put(self, answers: Mapping[str, str]) -> None:
        """Keep answers, on disk when this returns."""
        with disk.writing(self.path), self._base:
            self._base.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", answers.items())

    def forget(self, keys: Iterable[str]) -> None:
        with self._base:
            self._base.executemany("DELETE FROM answers WHERE key = ?", ((key,) for key in keys))

    def count(self) -> int:
        return int(self._base.execute("SELECT COUNT(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        self._base.close()


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store(path)
    try:
        yield store
    finally:
        store.close()
