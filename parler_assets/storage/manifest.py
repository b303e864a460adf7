"""What a finished stage consists of: its manifest, written last, and the rows that were set aside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
    file: str
    rows: int
    sha256: str


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


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished stage.

    Raises:
        ShardError: there is none (the stage has not finished) or it cannot be read.
    """
    path = Path(folder) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shards = tuple(Shard(**shard) for shard in content["shards"])
        aside = tuple(SetAside(**row) for row in content["set_aside"])
        manifest = Manifest(content["fingerprint"], shards, aside, content["facts"], content["schema_version"])
    except FileNotFoundError:
        raise ShardError(f"{path}: missing, so this stage has not finished; materialize it first") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ShardError(
            f"{path}: damaged ({error}); delete it and materialize this asset again, finished shards are kept"
        ) from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ShardError(
            f"{path}: schema version {manifest.schema_version}, this code reads {SCHEMA_VERSION}; delete it and rebuild"
        )
    return manifest
