"""MLflow's SQLite file: created whole or not at all, and put aside where it is damaged.

MLflow creates its tables over seconds, in many transactions: a kill or a full disk in between leaves a file that it can
never open again. So it is created under another name and renamed. Whoever calls holds the store's lock.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

logger = logging.getLogger(__name__)


def file_of(uri: str) -> Path | None:
    """The file behind a `sqlite:///` URI; None for a server or another database."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def ensure(file: Path) -> None:
    """See to it that `file` is a database that MLflow can open: a missing or damaged one is made again."""
    if file.exists() and not sound(file):
        put_aside(file)
    if not file.exists():
        _create(file)


def is_half_made(error: BaseException | None) -> bool:
    """Whether MLflow failed on the tables themselves (one exists already, a column is missing), as a creation that was
    killed leaves them; and not on a file that is locked, full or not to be written.
    """
    while error is not None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return True
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return False


def put_aside(file: Path) -> Path:
    """Rename a database that cannot be used, so that it blocks nothing and nothing in it is lost."""
    kept = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    for suffix in ("", "-journal", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.replace(kept.with_name(kept.name + suffix))
    logger.warning("%s is damaged: it is kept as %s, and a new one is made", file, kept.name)
    return kept


def sound(file: Path, patience: float = 20.0) -> bool:
    """Whether SQLite can read all of it. One that is locked is in use, and therefore sound."""
    if not file.stat().st_size:
        return False
    connection = sqlite3.connect(file, timeout=patience)
    try:
        return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _create(file: Path) -> None:
    from mlflow import MlflowClient

    new = file.with_name(f".{file.name}.new-{os.getpid()}-{time.monotonic_ns()}")
    try:
        MlflowClient(f"sqlite:///{new}").search_experiments(max_results=1)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
