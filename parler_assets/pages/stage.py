"""What every stage's page shows: rows, hours, schema, first rows, and the rows that were set aside with reasons.

Everything is read from the written shards, so a reused result shows as much as a fresh one. Dagster refuses numpy
scalars, so values are plain Python here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from parler_assets.pages.columns import column_schema, rows_table

if TYPE_CHECKING:
    from parler_assets.storage import StageResult


def stage_metadata(result: StageResult, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """The part every stage shows. `columns` are those of the first rows; None takes all but audio and codes."""
    from parler_assets import storage
    from parler_assets.hub.revisions import COMMITS

    manifest = result.manifest
    metadata: dict[str, Any] = {
        "dagster/row_count": manifest.rows,
        "set_aside": len(manifest.set_aside),
        "reused": result.reused,
        "seconds": round(result.seconds, 2),
        "folder": dg.MetadataValue.path(str(result.folder)),
    }
    if manifest.facts.get(COMMITS):
        metadata["commits"] = dg.MetadataValue.json(manifest.facts[COMMITS])
    if manifest.set_aside:
        metadata |= _set_aside(manifest.set_aside)
    if manifest.shards:
        first = storage.read_shard(result.folder, manifest.shards[0])
        metadata["dagster/column_schema"] = column_schema(first)
        shown = columns or [name for name in first.column_names if name not in ("audio", "codes")]
        metadata["first_rows"] = rows_table(first.select(shown).slice(0, 5).to_pylist())
    return metadata


def hours(folder: Path) -> float:
    """Hours of speech in a stage with a `duration` column."""
    from parler_assets import storage

    return round(sum(sum(part["duration"].to_pylist()) for part in storage.iterate(folder, ["duration"])) / 3600, 4)


def _set_aside(rows: Sequence) -> dict[str, Any]:
    kinds = Counter(row.reason.split(":")[0] for row in rows)
    summary = [{"reason": reason, "clips": count} for reason, count in kinds.most_common()]
    listed = [{"id": row.id, "stage": row.stage, "reason": row.reason} for row in rows[:20]]
    return {"set_aside_reasons": rows_table(summary), "set_aside_rows": rows_table(listed)}
