"""The checks of one lane: what makes a stage unfit to build on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from parler_assets.checks.check import Audit, Check, Made, asset_checks, audit
from parler_assets.recipe import Corpus, Evaluation, Recipe
from parler_assets.resources.accelerator import acquire

Folder = Callable[[Made], Path]


def corpus_checks(name: str, corpus: Corpus, recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of one lane."""

    def stage(which: str) -> Folder:
        return lambda made: made.workspace.lane(name, which)

    raw, tags, bins = stage("raw_dataset"), stage("continuous_tags"), stage("text_bins")
    texts, codes = stage("llm_descriptions"), stage("dac_codes")
    limit = recipe.shards.max_set_aside
    checks = {
        "raw_dataset": [*raw_checks(raw, limit, corpus), *transcript_checks(raw, stage("heard_transcripts"), corpus)],
        "dac_codes": [*code_checks(codes, raw), few(codes, limit, raw)],
    }
    if corpus.annotated_here:
        checks["raw_dataset"] += describable_checks(raw, limit)
        checks["continuous_tags"] = [*tag_checks(tags, raw), few(tags, limit, raw)]
        checks["text_bins"] = bin_checks(bins, tags)
        checks["llm_descriptions"] = [*written_checks(texts, bins, raw, corpus), few(texts, limit, raw, tags)]
    else:
        checks["llm_descriptions"] = [*published_checks(texts), few(texts, limit, raw)]
    obey = {"dac_codes"} | ({*checks} if corpus.annotated_here else set())
    return [asset_checks(dg.AssetKey([name, which]), found, recipe, which in obey) for which, found in checks.items()]


def speech(name: str, *arguments: object) -> Audit:
    return audit(f"parler_assets.speech.audits:{name}", *arguments)


def few(stage: Folder, limit: float, *earlier: Folder) -> Check:
    """Clips that a stage loses count together with those that the stages before it lost."""
    told = f"At most {limit:.0%} of the corpus's clips are set aside, here and before."
    return Check("few_set_aside", told, speech("few_set_aside", stage, limit, *earlier))


def raw_checks(raw: Folder, limit: float, corpus: Corpus) -> list[Check]:
    spoken = f"The transcripts are in {corpus.language}, with numbers in words."
    return [
        Check("has_clips", "At least one clip is left.", speech("has_clips", raw)),
        Check("unique_ids", "No id occurs twice.", speech("unique_ids", raw)),
        few(raw, limit),
        Check("in_language", spoken, speech("in_language", raw, corpus.language, corpus.spoken_form), blocking=False),
    ]


def transcript_checks(raw: Folder, heard: Folder, corpus: Corpus) -> list[Check]:
    """Every clip says its own text: by their lengths, and by an ASR on some of them."""
    count, language = corpus.transcripts_heard, corpus.language

    def belong(made: Made) -> list[str]:
        from parler_assets.tts.scoring.transcripts import misplaced

        judging = made.recipe.evaluation
        with acquire(made.device if judging.recogniser else "cpu") as device:
            return misplaced(raw(made), heard(made), judging, count, language, device) if count else []

    def evaluation(made: Made) -> Evaluation:
        return made.recipe.evaluation

    fit = "Clips take longer to say longer texts."
    said = f"Clips say their own texts, by an ASR that hears {count} of them."
    known = audit("parler_assets.tts.scoring.transcripts:unheard", raw, evaluation, count, language)
    return [
        Check("texts_fit_durations", fit, speech("texts_fit_durations", raw)),
        Check("transcripts_belong", said, belong),
        Check("transcripts_heard", "An ASR is here that knows the texts' words.", known, blocking=False),
    ]


def describable_checks(raw: Folder, limit: float) -> list[Check]:
    def prompt(made: Made) -> str:
        return made.recipe.describing.prompt

    said = "Speakers and styles can be said in a description of this prompt."
    return [Check("describable", said, speech("describable", raw, prompt, limit))]


def tag_checks(tags: Folder, raw: Folder) -> list[Check]:
    return [
        Check("complete", "Every clip has tags or a reason.", speech("complete", tags, raw)),
        Check("plausible", "Measurements are within what speech can be.", speech("plausible", tags)),
    ]


def bin_checks(bins: Folder, tags: Folder) -> list[Check]:
    varied = "Rate, pitch and melody differ between clips; otherwise descriptions cannot teach them."
    suit = "No outermost bin holds more than half of the clips; otherwise the corpus is unlike that of the edges."
    columns = ["speaking_rate", "pitch", "speech_monotony"]

    def estimated(made: Made) -> bool:
        return made.recipe.binning.edges == "estimated"

    return [
        Check("complete", "Every tagged clip is binned.", speech("complete", bins, tags)),
        Check("known_labels", "Only labels that belong to the edges.", speech("known_labels", bins)),
        Check("varied", varied, speech("varied", bins, columns), blocking=False),
        Check("edges_suit", suit, speech("drift", bins, estimated), blocking=False),
    ]


def written_checks(texts: Folder, bins: Folder, raw: Folder, corpus: Corpus) -> list[Check]:
    names = "A description names its own speaker and no other."
    rejected = "At most describing.max_rejected of the model's answers were rejected, none replaced."

    def limit(made: Made) -> float:
        return made.recipe.describing.max_rejected

    def expected(made: Made) -> set[str]:
        return names_in(corpus, made.recipe)  # reads the prompt: when the check runs, not when definitions load

    return [
        Check("described", "Every row has a sentence.", speech("described", texts)),
        Check("complete", "Every clip is described.", speech("complete", texts, bins)),
        Check("names_speaker", names, speech("names_speaker", texts, raw, expected)),
        Check("few_rejected", rejected, speech("few_rejected", texts, limit), blocking=False),
    ]


def published_checks(texts: Folder) -> list[Check]:
    like = "Clips and published descriptions have the same ids and transcripts."
    return [
        Check("described", "Every row has a sentence.", speech("described", texts)),
        Check("like_published", like, speech("like_published", texts), blocking=False),
    ]


def code_checks(codes: Folder, raw: Folder) -> list[Check]:
    return [
        Check("complete", "Every clip has codes or a reason.", speech("complete", codes, raw)),
        Check("codes_fit", "Shape and range of the codes.", speech("codes_fit", codes)),
        Check("codes_match_audio", "Frames cover the clip.", speech("codes_match_audio", codes, raw)),
    ]


def names_in(corpus: Corpus, recipe: Recipe) -> set[str]:
    """The names that descriptions of this corpus must hold; nobody's, where the recipe's prompt names no speaker."""
    from parler_assets.speech.descriptions.attributes import columns_of

    named = recipe.describing.captions == ["named"] and "speaker" in columns_of(recipe.describing.prompt)
    return (set(corpus.speaker_names.values()) or set(corpus.genders)) if named else set()
