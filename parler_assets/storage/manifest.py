"""What a finished stage consists of: its manifest, written last, and the rows that were set aside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from itertools import accumulate, pairwise
from pathlib import Path

from parler_assets.storage.records import OtherVersion, RecordError, Schema, damage

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
    """A Parquet file, and names and SHA-256 of other files that were made with it and lie beside it.

    `aside` counts the rows that were set aside when it was made; manifests of before do not say.
    """

    file: str
    rows: int
    sha256: str
    beside: dict[str, str] = field(default_factory=dict)
    aside: int | None = None

    def damage(self, folder: Path) -> str | None:
        """Which file is not what was written, and why; None when all are."""
        return damage(folder, {self.file: self.sha256, **self.beside})


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

    def parts(self) -> list[tuple[Shard, list[SetAside]]]:
        """Every shard with the rows set aside from it; nothing where the manifest does not say which those are."""
        counts = [shard.aside for shard in self.shards if shard.aside is not None]
        if len(counts) < len(self.shards):
            return []
        bounds = [0, *accumulate(counts)]
        return [(shard, list(self.set_aside[a:b])) for shard, (a, b) in zip(self.shards, pairwise(bounds), strict=True)]

    @property
    def digest(self) -> str:
        """Digest of the content alone: a rebuild that gives the same rows has the same digest."""
        content = (
            [[shard.rows, shard.sha256] for shard in self.shards],
            [asdict(row) for row in self.set_aside],
        )
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


RECORD = Schema("stage", [entry.name for entry in fields(Manifest)], SCHEMA_VERSION)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    RECORD.write(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished stage.

    Raises:
        ShardError: there is none (the stage has not finished) or it cannot be read.
    """
    path = Path(folder) / MANIFEST
    try:
        content = RECORD.read(path)
        if content["schema_version"] != SCHEMA_VERSION:
            raise OtherVersion(f"{path}: schema version {content['schema_version']}, this code reads {SCHEMA_VERSION}")
        shards = tuple(Shard(**shard) for shard in content["shards"])
        aside = tuple(SetAside(**row) for row in content["set_aside"])
        return Manifest(content["fingerprint"], shards, aside, content["facts"], content["schema_version"])
    except FileNotFoundError:
        raise ShardError(f"{path}: missing, so this stage has not finished; materialize it first") from None
    except OtherVersion as error:
        raise ShardError(f"{error}; delete it and rebuild") from None
    except (RecordError, TypeError, KeyError) as error:
        said = str(error) if isinstance(error, RecordError) else f"{path}: damaged ({error})"
        raise ShardError(f"{said}; materialize this asset again, finished shards are kept") from None
