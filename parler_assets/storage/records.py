"""Small records (a scorecard, a training's result, a manifest): one writer and one reader for all of them.

A record is a JSON object that is whole or absent. It names its schema and holds a digest of itself, so that what is
read is what was written; records of before there were digests are read as they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parler_assets.storage.files import known_sha256, write_json

logger = logging.getLogger(__name__)

SCHEMA, SEAL = "schema", "seal"


class RecordError(ValueError):
    """A record that is not what was written; the message names the file and what is wrong with it."""


class OtherVersion(RecordError):
    """A record of another version than the code that reads it."""


@dataclass(frozen=True)
class Schema:
    """A kind of record: its name, the keys that each has, and its version."""

    name: str
    keys: Collection[str] = ()
    version: int = 1

    def write(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a record, whole or not at all."""
        named = {**content, SCHEMA: f"{self.name}/{self.version}"}
        write_json(path, {**named, SEAL: _seal(named)})

    def read(self, path: Path) -> dict[str, Any]:
        """What `write` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            OtherVersion: it is of another version.
            RecordError: it cannot be read, or is not what was written.
        """
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: damaged ({error})") from None
        if not isinstance(content, dict):
            raise RecordError(f"{path}: damaged (it holds no {self.name})")
        self._check(path, content)
        return {key: value for key, value in content.items() if key not in (SCHEMA, SEAL)}

    def find(self, path: Path, instead: str) -> dict[str, Any] | None:
        """What `write` wrote; None where there is none, or with a warning where it is damaged.

        `instead` says in the warning what happens without it.
        """
        try:
            return self.read(path)
        except FileNotFoundError:
            return None
        except RecordError as error:
            logger.warning("%s; %s", error, instead)
            return None

    def _check(self, path: Path, content: dict[str, Any]) -> None:
        seal = content.pop(SEAL, None)
        if seal is not None and seal != _seal(content):
            raise RecordError(f"{path}: damaged (its content is not what was written)")
        name, _, version = str(content.get(SCHEMA, f"{self.name}/{self.version}")).partition("/")
        if name == self.name and version != str(self.version):
            raise OtherVersion(f"{path}: version {version} of {name}, this code reads version {self.version}")
        missing = sorted(set(self.keys) - content.keys())
        if name != self.name or missing:
            raise RecordError(f"{path}: damaged (it is no {self.name}{f': no {missing[0]}' if missing else ''})")


def _seal(content: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(content))  # as a reader has it: keys are strings, tuples are lists
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def digests(folder: Path, names: Collection[str]) -> dict[str, str]:
    """Name to SHA-256 of files in a folder, as a record keeps them for `damage`."""
    return {name: known_sha256(folder / name) for name in sorted(names)}


def damage(folder: Path, files: Mapping[str, str]) -> str | None:
    """Which of these files is not what was written, and why; None when all are. Digests are computed once a process."""
    for name, sha256 in files.items():
        path = Path(folder) / name
        try:
            if known_sha256(path) != sha256:
                return f"{path}: damaged (its SHA-256 is not the one it was written with)"
        except OSError as error:
            return f"{path}: {'missing' if isinstance(error, FileNotFoundError) else f'unreadable ({error})'}"
    return None
