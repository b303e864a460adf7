"""What every stage writes and reads: Parquet shards with a manifest written last; files that are whole or absent."""

from parler_assets.storage.files import known_sha256, replacing, sha256_of, write_json
from parler_assets.storage.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Manifest,
    SetAside,
    Shard,
    ShardError,
    read_manifest,
)
from parler_assets.storage.reading import iterate, read, read_shard
from parler_assets.storage.writing import (
    Executor,
    Part,
    StageResult,
    Streamed,
    build,
    build_shard,
    exclusive,
    map_shards,
)

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "Executor",
    "Manifest",
    "Part",
    "SetAside",
    "Shard",
    "ShardError",
    "StageResult",
    "Streamed",
    "build",
    "build_shard",
    "exclusive",
    "iterate",
    "known_sha256",
    "map_shards",
    "read",
    "read_manifest",
    "read_shard",
    "replacing",
    "sha256_of",
    "write_json",
]
