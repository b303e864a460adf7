"""What a finished stage consists of: its manifest, written last, and the rows that were set aside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from parler_assets.storage.files import OtherVersion, known_sha256, read_sealed, write_sealed

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class ShardError(RuntimeError):
    """A folder of shards that cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class SetAside:
    """A row kept out of a stage's output, with the reason a person can act on."""

    id: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Shard:
    """A Parquet file, and names and SHA-256 of other files that were made with it and lie beside it."""

    file: str
    rows: int
    sha256: str
    beside: dict[str, str] = field(default_factory=dict)

    def damage(self, folder: Path) -> str | None:
        """Which file is not what was written, and why; None when all are."""
        for name, sha256 in {self.file: self.sha256, **self.beside}.items():
            path = Path(folder) / name
            try:
                if known_sha256(path) != sha256:
                    return f"{path}: damaged (its SHA-256 is not the one it was written with)"
            except OSError as error:
                return f"{path}: {'missing' if isinstance(error, FileNotFoundError) else f'unreadable ({error})'}"
        return None


@dataclass(frozen=True)
class Manifest:
    """What a finished stage consists of."""

    fingerprint: str
    shards: tuple[Shard, ...]
    set_aside: tuple[SetAside, ...] = ()
    facts: dict = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def digest(self) -> str:
        """Digest of the content alone: a rebuild that gives the same rows has the same digest."""
        content = (
            [[shard.rows, shard.sha256] for shard in self.shards],
            [asdict(row) for row in self.set_aside],
        )
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


KEYS = {entry.name for entry in fields(Manifest)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_sealed(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished stage.

    Raises:
        ShardError: there is none (the stage has not finished) or it cannot be read.
    """
    path = Path(folder) / MANIFEST
    try:
        content = read_sealed(path, KEYS, SCHEMA_VERSION)
        shards = tuple(Shard(**shard) for shard in content["shards"])
        aside = tuple(SetAside(**row) for row in content["set_aside"])
        return Manifest(content["fingerprint"], shards, aside, content["facts"], content["schema_version"])
    except FileNotFoundError:
        raise ShardError(f"{path}: missing, so this stage has not finished; materialize it first") from None
    except OtherVersion as error:
        raise ShardError(f"{path}: {error}; delete it and rebuild") from None
    except (OSError, ValueError, TypeError) as error:
        raise ShardError(f"{path}: damaged ({error}); materialize this asset again, finished shards are kept") from None
