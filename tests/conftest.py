"""What holds for all tests: the long ones begin first, and SQLite does not wait for the disk.

Each file of tests runs in one process; one that takes minutes, begun last, would be waited for alone.
A test's databases need not outlive a power cut: Dagster and MLflow commit hundreds of times in a test, each a wait of
tens of milliseconds. A process that is killed loses nothing by this. Other processes that tests start, such as real
servers, do wait.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

LONG = ("graph", "web", "speech/test_draft", "sample", "tts/test_launch", "tts/test_training", "cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(tests).as_posix()
        return next((at for at, long in enumerate(LONG) if name.startswith(long)), len(LONG))

    items.sort(key=place)


@event.listens_for(Engine, "connect")
def _do_not_wait(connection, _record) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
