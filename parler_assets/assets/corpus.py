"""One lane of the graph: a corpus from its source to descriptions and codes.

hub_dataset -> raw_dataset -> continuous_tags -> text_bins -> llm_descriptions
                         `--> dac_codes
"""

from typing import Any

import dagster as dg

from parler_assets.checks.corpus import corpus_checks
from parler_assets.pages.charts import bin_pictures, histograms
from parler_assets.pages.columns import rows_table, shares
from parler_assets.pages.lineage import bins_lineage, descriptions_lineage, tags_lineage
from parler_assets.pages.settings import settings_table
from parler_assets.pages.stage import hours, stage_metadata
from parler_assets.recipe import Annotation, Corpus, Describing, HubSource, Recipe, digest
from parler_assets.resources.accelerator import Accelerator
from parler_assets.resources.executor import on_gpu
from parler_assets.resources.settings import SettingsResource
from parler_assets.resources.workspace import Workspace

LONGEST = 60  # seconds: a clip beyond it and beyond training.max_seconds is set aside before it is measured and coded
LABELS = ("speaking_rate", "pitch", "speech_monotony", "noise", "reverberation")
MEASURED = {
    "speaking_rate_a": "phonemes / s",
    "utterance_pitch_mean": "pitch, Hz",
    "utterance_pitch_std": "pitch range, Hz",
    "snr_a": "SNR, dB",
    "c50_a": "C50, dB",
    "duration": "seconds",
}


def corpus_assets(name: str, corpus: Corpus, recipe: Recipe) -> list:
    """The assets and checks of one corpus, grouped and prefixed by its name."""
    stages: list = [raw_dataset(name, corpus, recipe), dac_codes(name, recipe)]
    if isinstance(corpus.source, HubSource):
        stages.insert(0, hub_dataset(name, corpus.source, recipe))
    if corpus.annotated_here:
        stages += [continuous_tags(name, recipe), text_bins(name, recipe), written_descriptions(name, recipe)]
    else:
        stages.append(published_descriptions(name, corpus, recipe))
    return [*stages, *corpus_checks(name, corpus, recipe)]


def hub_dataset(name: str, source: HubSource, recipe: Recipe) -> dg.AssetSpec:
    """The set on the Hub. Nothing here makes it: the sensor `hub_revisions` reports its commits."""
    return dg.AssetSpec(
        [name, "hub_dataset"],
        group_name=name,
        kinds={"huggingface"},
        owners=recipe.operations.owners,
        description=f"The data set `{source.repo}` ({source.config}, {source.split}) on the Hugging Face Hub. "
        "Its data version is the Hub commit, reported by the sensor hub_revisions.",
        metadata={"repository": source.repo, "licence": source.licence or "not stated"},
    )


def raw_dataset(name: str, corpus: Corpus, recipe: Recipe) -> dg.AssetsDefinition:
    source, shard_settings = corpus.source, recipe.shards
    from_hub = isinstance(source, HubSource)
    longest = max(LONGEST, recipe.training.max_seconds)

    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[name, "hub_dataset"]] if from_hub else [],
        kinds={"huggingface" if from_hub else "python", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(source, corpus.of_rows, shard_settings.rows, longest)}",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30) if from_hub else None,
    )
    def raw_dataset(
        context: dg.AssetExecutionContext, workspace: Workspace, tagger: SettingsResource, writer: SettingsResource
    ) -> dg.MaterializeResult:
        """The corpus's clips as Parquet shards: id, audio bytes as published, speaker, style, duration, transcript as
        it is said (`text`) and as it was written (`written`).

        One row is one utterance. A clip that cannot be used is set aside with its reason and never stops the run.
        """
        from parler_assets.hub import weights
        from parler_assets.speech.clips import build_raw_dataset

        if corpus.annotated_here and _made_in_this_run(context, name, "continuous_tags"):
            weights.digests(tagger.settings(), tagged=workspace.lane(name, "continuous_tags"))  # ahead of a long fetch
        folder = workspace.lane(name, "raw_dataset")
        result = build_raw_dataset(
            corpus, folder, shard_settings, workspace.cache, rebuild=workspace.rebuild, longest=longest
        )
        metadata = stage_metadata(result) | {
            "hours": hours(folder),
            "durations": histograms(folder, {"duration": "seconds"}),
            "speakers_and_styles": shares(folder, ["speaker", "style"]),
        }
        if corpus.annotated_here:
            metadata |= settings_table(recipe, writer.settings(), only=["prompt"])  # the check `describable` reads it
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return raw_dataset


def _made_in_this_run(context: dg.AssetExecutionContext, name: str, stage: str) -> bool:
    return dg.AssetKey([name, stage]) in context.job_def.asset_layer.selected_asset_keys


def continuous_tags(name: str, recipe: Recipe) -> dg.AssetsDefinition:
    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[name, "raw_dataset"]],
        kinds={"python", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(recipe.annotation)}",
        **on_gpu(uses_networks(recipe.annotation)),
    )
    def continuous_tags(
        workspace: Workspace, tagger: SettingsResource, accelerator: Accelerator
    ) -> dg.MaterializeResult:
        """Measurements of every clip: speaking rate, pitch and its range, SNR, C50, speech quality.

        Numbers are kept in both of DataSpeech's definitions (eras a and b); bins read one of them. A value that
        cannot be measured is empty and the column `note` says why.
        """
        from parler_assets.speech.annotation.stage import tag_corpus

        folder = workspace.lane(name, "continuous_tags")
        raw = workspace.lane(name, "raw_dataset")
        settings = tagger.settings()
        with accelerator.spread(uses_networks(settings)) as (device, executor):
            result = tag_corpus(raw, folder, settings, device, workspace.rebuild, executor)
        metadata = stage_metadata(result, ["id", "speaker", "style", *MEASURED]) | {
            "hours": hours(folder),
            "distributions": histograms(folder, MEASURED),
            **settings_table(recipe, settings),
        }
        metadata |= tags_lineage(name, metadata)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return continuous_tags


def uses_networks(annotation: Annotation) -> bool:
    """Whether an annotator is a network; the others compute on the CPU whatever there is."""
    chosen = (annotation.pitch, annotation.room, annotation.quality)
    return any(name.startswith(("penn", "brouhaha", "squim")) for name in chosen)


def text_bins(name: str, recipe: Recipe) -> dg.AssetsDefinition:
    pool = [name]
    if recipe.binning.edges == "estimated":
        pool = [other for other, corpus in recipe.corpora.items() if corpus.annotated_here]

    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[lane, "continuous_tags"] for lane in pool],
        kinds={"python", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(recipe.binning, recipe.annotation)}",
    )
    def text_bins(workspace: Workspace, binner: SettingsResource, tagger: SettingsResource) -> dg.MaterializeResult:
        """Every measurement as a label such as "quite slowly" or "very noisy", by published or estimated edges."""
        from parler_assets.speech.binning.bins import bin_corpus

        folder = workspace.lane(name, "text_bins")
        result = bin_corpus(
            workspace.lane(name, "continuous_tags"),
            folder,
            binner.settings(),
            tagger.settings(),
            pool=[workspace.lane(lane, "continuous_tags") for lane in pool],
            rebuild=workspace.rebuild,
        )
        metadata = stage_metadata(result, ["id", "speaker", "style", *LABELS]) | {
            "labels": shares(folder, LABELS),
            "distributions": bin_pictures(folder),
            "edges": dg.MetadataValue.json(result.manifest.facts.get("edges", {})),
            **settings_table(recipe, binner.settings(), tagger.settings()),
        }
        metadata |= bins_lineage(name, metadata, tagger.settings().era)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return text_bins


def written_descriptions(name: str, recipe: Recipe) -> dg.AssetsDefinition:
    engine = recipe.describing.engine

    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[name, "text_bins"]],
        kinds={"python" if engine == "template" else engine},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(recipe.describing)}",
        **on_gpu(cards_of(recipe.describing) > 0),
        retry_policy=dg.RetryPolicy(max_retries=1, delay=30) if engine == "server" else None,
    )
    def llm_descriptions(
        workspace: Workspace, writer: SettingsResource, accelerator: Accelerator
    ) -> dg.MaterializeResult:
        """One English sentence per clip, written from its text bins: it states the speaker, the style and the bins."""
        from parler_assets.speech.descriptions import describe_corpus

        settings, bins = writer.settings(), workspace.lane(name, "text_bins")
        with accelerator.acquire(cards_of(settings)) as device:
            result = describe_corpus(
                bins,
                workspace.lane(name, "llm_descriptions"),
                settings,
                workspace.cache,
                rebuild=workspace.rebuild,
                device=device,
            )
        metadata = described_metadata(result) | settings_table(recipe, settings)
        metadata |= descriptions_lineage(name, metadata, settings.prompt, bins)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return llm_descriptions


def cards_of(describing: Describing) -> int:
    """How many GPUs a language model on this machine takes; none for a server or the template."""
    if describing.engine not in ("transformers", "vllm"):
        return 0
    return describing.tensor_parallel if describing.engine == "vllm" else 1


def published_descriptions(name: str, corpus: Corpus, recipe: Recipe) -> dg.AssetsDefinition:
    from_hub = getattr(corpus.descriptions, "repo", None) is not None

    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[name, "raw_dataset"]],
        kinds={"huggingface" if from_hub else "python", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(corpus.descriptions)}",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30) if from_hub else None,
    )
    def llm_descriptions(workspace: Workspace) -> dg.MaterializeResult:
        """The descriptions this corpus was published with, joined to its clips by id."""
        from parler_assets.speech.descriptions import join_published

        result = join_published(
            workspace.lane(name, "raw_dataset"),
            workspace.lane(name, "llm_descriptions"),
            corpus,
            workspace.cache,
            rebuild=workspace.rebuild,
        )
        return dg.MaterializeResult(metadata=described_metadata(result), data_version=dg.DataVersion(result.digest))

    return llm_descriptions


def described_metadata(result) -> dict[str, Any]:
    """What the page of descriptions shows, whoever wrote them."""
    facts = result.manifest.facts
    metadata = stage_metadata(result) | {
        "written_by": shares(result.folder, ["engine"]),
        "writing": dg.MetadataValue.json({name: value for name, value in facts.items() if name != "examples"}),
    }
    if "rejection_rate" in facts:
        shown = [{name: _joined(value) for name, value in example.items()} for example in facts["examples"]]
        metadata |= {"rejection_rate": facts["rejection_rate"], "rejected_examples": rows_table(shown)}
    return metadata


def _joined(value: str | list | dict) -> str:
    return value if isinstance(value, str) else "; ".join(value.values() if isinstance(value, dict) else value)


def dac_codes(name: str, recipe: Recipe) -> dg.AssetsDefinition:
    @dg.asset(
        key_prefix=name,
        group_name=name,
        deps=[[name, "raw_dataset"], "base_checkpoint"],
        kinds={"pytorch", "parquet"},
        owners=recipe.operations.owners,
        code_version=f"1.{digest(recipe.coding)}",
        **on_gpu(),
    )
    def dac_codes(workspace: Workspace, coder: SettingsResource, accelerator: Accelerator) -> dg.MaterializeResult:
        """Every clip as codes of the base checkpoint's own DAC: K codebooks by T frames of small integers.

        Beside annotation in the graph, so that a change of prompt or bins never encodes audio again.
        """
        from parler_assets.speech.codec.encode import encode_corpus

        folder = workspace.lane(name, "dac_codes")
        raw, base = workspace.lane(name, "raw_dataset"), workspace.base_path()
        with accelerator.spread() as (device, executor):
            result = encode_corpus(raw, base, folder, coder.settings(), device, workspace.rebuild, executor)
        metadata = stage_metadata(result) | {
            "hours": hours(folder),
            "codec": dg.MetadataValue.json(result.manifest.facts),
            **settings_table(recipe, coder.settings()),
        }
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.digest))

    return dac_codes
