"""Files and folders that a recipe names: found beside the recipe's own file, and told by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

SMALL = (".json", ".txt", ".jinja", ".model")  # files of a model's folder that are read whole
LARGE = 1 << 26  # bytes of a file that is told by its size and time of change


def beside(folder: Path, value: str) -> str:
    """A path as it is written in a recipe that lies in `folder`."""
    return str((folder / Path(value).expanduser()).resolve())


def model_beside(folder: Path, value: str) -> str:
    """A model's folder where it is one, else the value itself: the name of a model on the Hub."""
    written_as_path = value.startswith((".", "/", "~")) or value.count("/") > 1
    return beside(folder, value) if written_as_path or (folder / value).is_dir() else value


def is_folder(model: str | None) -> bool:
    """Whether a loaded recipe's model is a folder: the current folder's `owner/name` is not the Hub's."""
    return bool(model) and Path(str(model)).is_absolute() and Path(str(model)).is_dir()


def content_of(path: Path) -> str | None:
    """Twelve hex digits that follow the content of a file, or of a model's folder; None where there is neither."""
    if path.is_file():
        return hashlib.sha256(_told(path, path.stat().st_size < LARGE).encode()).hexdigest()[:12]
    if not path.is_dir():
        return None
    files = sorted(file for file in path.iterdir() if file.is_file())
    lines = [f"{file.name} {_told(file, file.suffix in SMALL)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _told(file: Path, whole: bool) -> str:
    status = file.stat()
    return hashlib.sha256(file.read_bytes()).hexdigest() if whole else f"{status.st_size} {status.st_mtime_ns}"
