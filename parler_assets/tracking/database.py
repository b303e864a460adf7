"""MLflow's SQLite file: created whole or not at all, and put aside where it is damaged.

MLflow creates its tables over seconds, in many transactions: a kill or a full disk in between leaves a file that it can
never open again. So it is created under another name and renamed. Whoever calls holds the store's lock.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from pathlib import Path

logger = logging.getLogger(__name__)


def file_of(uri: str) -> Path | None:
    """The file behind a `sqlite:///` URI; None for a server or another database."""
    if not uri.startswith("sqlite:///"):
        return None
    if not re.search("[%?]", uri):
        return Path(uri.removeprefix("sqlite:///"))
    from sqlalchemy import make_url

    return Path(make_url(uri).database or "")


def uri_of(file: Path) -> str:
    """The `sqlite:///` URI of a file, whatever characters its path has."""
    return "sqlite:///" + re.sub("[%?]", lambda sign: f"%{ord(sign[0]):02X}", str(file))


def remove_misplaced(uri: str) -> None:
    """Remove the empty folders that MLflow makes where a URI with codes would lead to if they were none."""
    if "%" not in uri:
        return
    folder = Path(uri.removeprefix("sqlite:///")).parent
    for place in (folder, *folder.parents):
        try:
            place.rmdir()
        except OSError:
            return


ARTIFACTS = "mlflow_artifacts"


def artifacts_of(file: Path) -> str:
    """Where the artifacts of the runs in `file` lie, as MLflow is told: it takes `%` for the start of a code."""
    return f"{file.parent.absolute() / ARTIFACTS}".replace("%", "%25")


def move_artifacts(file: Path) -> None:
    """Have the runs' artifacts lie beside the database: MLflow keeps where they lay when a run was made, absolute.

    A workspace that was moved or copied would go on writing to, and showing, those of the old place.
    """
    connection = sqlite3.connect(file, timeout=20)
    try:
        with connection:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
                moved = [(place, row) for row, known in rows if (place := _beside(file, known)) != known]
                connection.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", moved)
    finally:
        connection.close()


def _beside(file: Path, place: str | None) -> str | None:
    """Where artifacts lie that lay at `place`; those of a server or of a folder of the user's own stay there."""
    before, found, rest = (place or "").rpartition(f"/{ARTIFACTS}")
    ours = found and Path(before).name == file.parent.name and (not rest or rest.startswith("/"))
    return f"{artifacts_of(file)}{rest}" if ours else place


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
        MlflowClient(uri_of(new)).search_experiments(max_results=1)
        remove_misplaced(uri_of(new))
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
