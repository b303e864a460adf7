"""Which column comes from which: from the clip to its tags, from a tag to its label, from labels to the description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

# Of tags: all others that are measured come from the sound alone.
FROM_TEXT = {
    "phonemes": ("text",),
    "speaking_rate_a": ("text", "audio"),
    "speaking_rate_b": ("text", "audio"),
    "note": ("text", "audio"),
}
DESCRIBING = ("description", "named", "situational")


def tags_lineage(corpus: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Of `continuous_tags`, whose page shows `metadata`: the columns of the raw clips."""
    from parler_assets.speech.annotation.stage import KEPT

    return _lineage(
        dg.AssetKey([corpus, "raw_dataset"]),
        {name: (name,) if name in KEPT else FROM_TEXT.get(name, ("audio",)) for name in columns_in(metadata)},
    )


def bins_lineage(corpus: str, metadata: Mapping[str, Any], era: str) -> dict[str, Any]:
    """Of `text_bins`: a label comes from the tag that it names, in the era of the recipe; tags come along."""
    from parler_assets.speech.binning.edges import ATTRIBUTES

    labels: dict[str, tuple[str, ...]] = {attribute.output: (attribute.source(era),) for attribute in ATTRIBUTES}
    labels["pitch"] = ("utterance_pitch_mean", "gender", "speaker")  # of the speaker, relative to the gender
    return _lineage(
        dg.AssetKey([corpus, "continuous_tags"]), {name: labels.get(name, (name,)) for name in columns_in(metadata)}
    )


def descriptions_lineage(corpus: str, metadata: Mapping[str, Any], prompt: str, bins: Path) -> dict[str, Any]:
    """Of `llm_descriptions`: a sentence comes from all columns of `bins` that the prompt may speak of."""
    import pyarrow.parquet as pq

    from parler_assets import storage
    from parler_assets.speech.descriptions.attributes import columns_of

    files = [bins / shard.file for shard in storage.read_manifest(bins).shards[:1]]
    there = {name for file in files for name in pq.read_schema(file).names}
    labels = [name for name in columns_of(prompt) if name in there]
    spoken = {name: labels for name in columns_in(metadata) if name in DESCRIBING}
    return _lineage(dg.AssetKey([corpus, "text_bins"]), {"id": ("id",), **spoken} if spoken else {})


def columns_in(metadata: Mapping[str, Any]) -> list[str]:
    """Names of the columns that a page shows; none where the stage has no row."""
    schema = metadata.get("dagster/column_schema")
    return [column.name for column in schema.columns] if schema else []


def _lineage(source: dg.AssetKey, columns: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    if not columns:
        return {}
    deps = {name: [dg.TableColumnDep(source, origin) for origin in origins] for name, origins in columns.items()}
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}
