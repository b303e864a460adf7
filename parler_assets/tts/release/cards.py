"""Cards of a published checkpoint and of published annotations, written from lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from parler_assets import storage
from parler_assets.intake.markdown import escaped, escaped_lines
from parler_assets.recipe import Corpus, FolderSource, HubSource, Recipe
from parler_assets.tts.data import mixture_markdown
from parler_assets.tts.scoring.stage import read_scorecard
from parler_assets.tts.scoring.table import markdown

# Scores that the Hub shows beside the model; the card has them all.
SHOWN = ("speaker_gender", "rate_within_one", "speaker_probe", "style_probe", "word_error_rate")


@dataclass(frozen=True)
class Lineage:
    """Where a checkpoint came from: its folder, and those of what it was made and judged by.

    Attributes:
        versions: asset to the data version this checkpoint was made from.
        revisions: corpus to the commit of its source, where it has one.
        base: what the base checkpoint is called, with its revision.
    """

    checkpoint: Path
    training_set: Path
    scorecard: Path
    bins: Mapping[str, Path]
    versions: Mapping[str, str]
    revisions: Mapping[str, str]
    base: str
    recipe_digest: str


def model_card(recipe: Recipe, lineage: Lineage) -> str:
    """README.md of the checkpoint, its front matter included."""
    facts = storage.read_manifest(lineage.training_set).facts
    card = read_scorecard(lineage.scorecard) or {"scores": []}
    return _render("model.md.j2", recipe, lineage, front=_model_front(recipe, card), card=card, facts=facts)


def data_card(recipe: Recipe, lineage: Lineage, corpora: list[str]) -> str:
    """README.md of the annotations."""
    return _render("data.md.j2", recipe, lineage, front=_data_front(recipe, corpora), corpora=corpora)


def _render(template: str, recipe: Recipe, lineage: Lineage, front: dict, **more: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_shown)
    environment.filters["prose"] = lambda text: Markup(escaped_lines(text))
    environment.filters["called"] = lambda value: Path(value).name if Path(value).is_absolute() else value
    source = resources.files("parler_assets.tts.release") / template
    manifests = {name: storage.read_manifest(folder) for name, folder in lineage.bins.items()}
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        recipe=recipe,
        release=recipe.release,
        lineage=lineage,
        front=Markup(yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip()),
        sources={name: _source(corpus) for name, corpus in recipe.corpora.items()},
        edges={name: manifest.facts["edges"] for name, manifest in manifests.items()},
        mixture=Markup(mixture_markdown(more["facts"]["mixture"])) if "facts" in more else "",
        scores=Markup(markdown(more["card"])) if more.get("card", {}).get("scores") else "",
        settings=recipe.training.model_dump(mode="json", exclude={"variants"}, exclude_none=True),
        **more,
    )


def _shown(value: Any) -> Any:
    """Every value that a template names, as text unless it is Markdown of ours."""
    return value if isinstance(value, Markup) else escaped(value)


def _source(corpus: Corpus) -> str:
    source = corpus.source
    if isinstance(source, HubSource):
        return Markup(f"`{escaped(source.repo)}`, {escaped(source.config)}, {escaped(source.split)}")
    if isinstance(source, FolderSource):
        return "own recordings"
    return f"synthesized ({source.voices} voices)"


def _model_front(recipe: Recipe, card: dict) -> dict:
    front: dict[str, Any] = {
        "license": _licence(recipe),
        "language": _languages(recipe),
        "library_name": "transformers",
        "pipeline_tag": "text-to-speech",
        "tags": ["text-to-speech", "parler-tts", "annotation"],
    }
    if recipe.base.repo:
        front["base_model"] = recipe.base.repo
    data = [c.source.repo for c in recipe.corpora.values() if isinstance(c.source, HubSource)]
    if data:
        front["datasets"] = data
    results = [
        {"type": score["metric"], "value": round(score["value"], 4), "name": score["metric"].replace("_", " ")}
        for score in card["scores"]
        if score["system"] == "finetuned" and score["metric"] in SHOWN
    ]
    if results:
        task = {"type": "text-to-speech"}
        data_set = {"type": recipe.name, "name": "held-out prompts"}
        front["model-index"] = [
            {"name": recipe.name, "results": [{"task": task, "dataset": data_set, "metrics": results}]}
        ]
    return front


def _data_front(recipe: Recipe, corpora: list[str]) -> dict:
    return {
        "license": _licence(recipe),
        "language": _languages(recipe),
        "task_categories": ["text-to-speech"],
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train.parquet"}]}
            for name in corpora
        ],
    }


def _languages(recipe: Recipe) -> list[str]:
    """ISO 639-1 codes, without regions, in the order of the corpora."""
    codes = (c.language.replace("_", "-").partition("-")[0].lower() for c in recipe.corpora.values())
    return list(dict.fromkeys(codes))


def _licence(recipe: Recipe) -> str:
    return recipe.release.licence.lower() if recipe.release else "other"
