"""What every stage writes and reads: Parquet shards with a manifest written last; files that are whole or absent."""

from parler_assets.storage.disk import DiskError, check_room
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
from parler_assets.storage.mapping import map_groups, map_shards
from parler_assets.storage.reading import iterate, read, read_groups, read_shard
from parler_assets.storage.records import RecordError, Schema, damage, digests
from parler_assets.storage.writing import (
    Executor,
    Part,
    StageResult,
    Streamed,
    build,
    build_shard,
    exclusive,
    intact_shards,
    name_of,
    write_shard,
)

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "DiskError",
    "Executor",
    "Manifest",
    "Part",
    "RecordError",
    "Schema",
    "SetAside",
    "Shard",
    "ShardError",
    "StageResult",
    "Streamed",
    "build",
    "build_shard",
    "check_room",
    "damage",
    "digests",
    "exclusive",
    "intact_shards",
    "iterate",
    "known_sha256",
    "map_groups",
    "map_shards",
    "name_of",
    "read",
    "read_groups",
    "read_manifest",
    "read_shard",
    "replacing",
    "sha256_of",
    "write_json",
    "write_shard",
]
