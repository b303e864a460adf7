"""Names of ours beside those of the corpora: folders of a recipe's workspace, and groups and stages of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parler_assets.intake.names import shown

GROUPS = ("base", "training", "sweep", "evaluation", "release")
STAGES = (
    "hub_dataset", "raw_dataset", "heard_transcripts", "continuous_tags", "text_bins", "llm_descriptions", "dac_codes",
)  # fmt: skip
# Assets that all corpora share, and what commands keep beside them.
SHARED = (
    "base_checkpoint", "training_set", "finetuned_checkpoint", "sweep", "evaluation_samples", "scorecard", "release",
    "comparisons", "seeds", "kept_voices", "mlflow_artifacts",
)  # fmt: skip
CACHE = "cache"  # what all recipes share, beside the folders of theirs
TAKEN = tuple(sorted({*GROUPS, *STAGES, *SHARED, CACHE}))


def unusable_corpora(names: Iterable[str]) -> Iterator[str]:
    """Names of corpora that are none of a folder of its own; on some disks `Field` and `field` are one folder."""
    folders: dict[str, str] = {}
    for name in names:
        if not (name.isidentifier() and name.isascii()) or len(name) > 100:
            yield f"corpora.{shown(name)[:40]}: a corpus needs a lower-case identifier, such as my_voice"
        if name.lower() in TAKEN:
            yield f"corpora.{name}: the name of a folder or asset of ours: call it {name.lower()}_corpus"
        if other := folders.get(name.lower()):
            yield f"corpora.{name}: differs only in case from {other}, and both would be one folder: rename one"
        folders[name.lower()] = name
