"""The library's audits as asset checks. Blocking ones stop what lies below in the same run; all can be run again alone.

One step carries all checks of an asset: a step is a process, and starting one costs more than an audit.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from parler_assets.recipe import Corpus, Recipe
from parler_assets.resources.workspace import Workspace

Audit = Callable[[Workspace], list[str]]


@dataclass(frozen=True)
class Check:
    """A named question about an asset; its audit answers with problems. One that does not block is a warning."""

    name: str
    description: str
    audit: Audit
    blocking: bool = True

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(self.name, asset=asset, description=self.description, blocking=self.blocking)

    def result(self, asset: dg.AssetKey, workspace: Workspace) -> dg.AssetCheckResult:
        problems = self.audit(workspace)
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=self.name,
            passed=not problems,
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            description=_told(problems),
            metadata={"problems": len(problems), **_listed(problems)},
        )


def _told(problems: list[str]) -> str:
    """One line, for the UI shows no other: several problems are numbered, since each may hold a semicolon itself."""
    if len(problems) < 2:
        return "".join(problems) or "no problem found"
    return " ".join(f"({number}) {problem}." for number, problem in enumerate(problems, start=1))


def _listed(problems: list[str]) -> dict[str, dg.MetadataValue]:
    """Several problems one below the other."""
    from parler_assets.pages.stage import escaped

    lines = "\n".join(f"- {escaped(problem)}" for problem in problems)
    return {"each": dg.MetadataValue.md(lines)} if problems[1:] else {}


def asset_checks(asset: dg.AssetKey, checks: list[Check]) -> dg.AssetChecksDefinition:
    """All checks of one asset as one step."""

    @dg.multi_asset_check(
        name="check_" + "_".join(asset.path), specs=[check.spec(asset) for check in checks], can_subset=True
    )
    def run_checks(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        for check in checks:
            if check.name in chosen:
                yield check.result(asset, workspace)

    return run_checks


def corpus_checks(name: str, corpus: Corpus, recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of one lane."""

    def raw(workspace: Workspace):
        return workspace.lane(name, "raw_dataset")

    def audits():
        from parler_assets.speech import audits

        return audits

    def of(stage: str):
        return lambda workspace: workspace.lane(name, stage)

    limit = recipe.shards.max_set_aside
    tags, bins, texts, codes = (of(s) for s in ("continuous_tags", "text_bins", "llm_descriptions", "dac_codes"))
    checks = {
        "raw_dataset": [
            Check("has_clips", "At least one clip is left.", lambda w: audits().has_clips(raw(w))),
            Check("unique_ids", "No id occurs twice.", lambda w: audits().unique_ids(raw(w))),
            Check(
                "few_set_aside",
                f"At most {limit:.0%} of the clips are set aside.",
                lambda w: audits().few_set_aside(raw(w), limit),
            ),
        ],
        "llm_descriptions": [
            Check("described", "Every row has a sentence.", lambda w: audits().described(texts(w))),
        ],
        "dac_codes": [
            Check("complete", "Every clip has codes or a reason.", lambda w: audits().complete(codes(w), raw(w))),
            Check("codes_fit", "Shape and range of the codes.", lambda w: audits().codes_fit(codes(w))),
            Check(
                "codes_match_audio",
                "Frames cover the clip.",
                lambda w: audits().codes_match_audio(codes(w), raw(w)),
            ),
        ],
    }
    if corpus.written:
        checks["continuous_tags"] = [
            Check("complete", "Every clip has tags or a reason.", lambda w: audits().complete(tags(w), raw(w))),
            Check("plausible", "Measurements are within what speech can be.", lambda w: audits().plausible(tags(w))),
        ]
        checks["text_bins"] = [
            Check("complete", "Every tagged clip is binned.", lambda w: audits().complete(bins(w), tags(w))),
            Check("known_labels", "Only labels that belong to the edges.", lambda w: audits().known_labels(bins(w))),
            Check(
                "varied",
                "Rate, pitch and melody differ between clips; otherwise descriptions cannot teach them.",
                lambda w: audits().varied(bins(w), ["speaking_rate", "pitch", "speech_monotony"]),
                blocking=False,
            ),
            Check(
                "edges_suit",
                "No outermost bin holds more than half of the clips; otherwise the corpus is unlike that of the edges.",
                lambda w: audits().drift(bins(w), recipe.binning.edges == "estimated"),
                blocking=False,
            ),
        ]
        checks["llm_descriptions"] += [
            Check("complete", "Every clip is described.", lambda w: audits().complete(texts(w), bins(w))),
            Check(
                "names_speaker",
                "A description names its own speaker and no other.",
                lambda w: audits().names_speaker(texts(w), raw(w), names_in(corpus, recipe)),
            ),
            Check(
                "few_rejected",
                f"At most {recipe.describing.max_rejected:.0%} of the model's answers were rejected, none replaced.",
                lambda w: audits().few_rejected(texts(w), recipe.describing.max_rejected),
                blocking=False,
            ),
        ]
    else:
        checks["llm_descriptions"] += [
            Check(
                "like_published",
                "Clips and published descriptions have the same ids and transcripts.",
                lambda w: audits().like_published(texts(w)),
                blocking=False,
            ),
        ]
    return [asset_checks(dg.AssetKey([name, stage]), found) for stage, found in checks.items()]


def names_in(corpus: Corpus, recipe: Recipe) -> set[str]:
    """The names that descriptions of this corpus must hold; nobody's, where the recipe's prompt names no speaker."""
    from parler_assets.speech.descriptions.situations import columns_of

    named = recipe.describing.captions == ["named"] and "speaker" in columns_of(recipe.describing.prompt)
    return (set(corpus.speaker_names.values()) or set(corpus.genders)) if named else set()


def training_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of the training set and of the checkpoints around it."""

    def of_kinds(*kinds: str) -> Audit:
        def audit(workspace: Workspace) -> list[str]:
            from parler_assets.tts.data import audit_training_set

            return [str(p) for p in audit_training_set(workspace.training_set) if p.kind in kinds]

        return audit

    return [
        asset_checks(
            dg.AssetKey("base_checkpoint"), [Check("complete", "All parts of a checkpoint are there.", _base)]
        ),
        asset_checks(
            dg.AssetKey("training_set"),
            [
                Check(
                    "lanes_joined",
                    "Clips, descriptions and codes of every corpus found each other by id.",
                    of_kinds("no_descriptions", "no_codes", "missing_descriptions"),
                ),
                Check(
                    "enough_hours",
                    f"At least {recipe.training.min_hours:g} hours to train on, and clips held out.",
                    of_kinds("empty", "too_few_hours", "no_held_out"),
                ),
                Check(
                    "codes_intact", "Codes are readable and in range.", of_kinds("corrupt_codes", "codes_out_of_range")
                ),
                Check("no_leakage", "No utterance is both trained on and held out.", of_kinds("leakage")),
                Check(
                    "enough_held_out",
                    "The held-out loss comes from at least 400 clips, where there are as many.",
                    _few_held_out,
                    blocking=False,
                ),
            ],
        ),
        asset_checks(
            dg.AssetKey("finetuned_checkpoint"),
            [
                Check("complete", "All parts of a checkpoint are there.", _finetuned),
                Check("learnt", "Training lowered the held-out loss of the base.", _nothing_learnt, blocking=False),
            ],
        ),
    ]


def sweep_checks() -> list[dg.AssetChecksDefinition]:
    """The check of a sweep. It warns: variants that could be trained are compared all the same."""
    every = "Every variant of the recipe could be trained."
    return [asset_checks(dg.AssetKey("sweep"), [Check("all_trained", every, _failed_variants, blocking=False)])]


def _failed_variants(workspace: Workspace) -> list[str]:
    from parler_assets.tts.experiments.sweep import failures

    return [f"variant {name}: {why}" for name, why in failures(workspace.sweep).items()]


def _few_held_out(workspace: Workspace) -> list[str]:
    from parler_assets.tts.training.fitness import few_held_out

    return few_held_out(workspace.training_set)


def _base(workspace: Workspace) -> list[str]:
    return _checkpoint_problems(workspace.base_path())


def _finetuned(workspace: Workspace) -> list[str]:
    return _checkpoint_problems(workspace.finetuned_path())


def _nothing_learnt(workspace: Workspace) -> list[str]:
    from parler_assets.tts.training.fitness import nothing_learnt

    record = workspace.finetuned_path().parent / "training.json"
    return nothing_learnt(json.loads(record.read_text(encoding="utf-8")))


def _checkpoint_problems(folder) -> list[str]:
    from parler_assets.tts.base import BaseError, validate_base

    try:
        validate_base(folder)
    except BaseError as error:
        return [str(error)]
    return []


def evaluation_checks(recipe: Recipe) -> list[dg.AssetChecksDefinition]:
    """The checks of samples and scores. They warn: a poor checkpoint is shown as it is; only `release` refuses it."""

    def spoken(workspace: Workspace) -> list[str]:
        from parler_assets.speech import audits

        return audits.few_set_aside(workspace.evaluation_samples, recipe.shards.max_set_aside)

    def card(question: Callable[[dict], list[str]]) -> Audit:
        def audit(workspace: Workspace) -> list[str]:
            from parler_assets.tts.scoring.stage import read_scorecard

            found = read_scorecard(workspace.scorecard)
            return question(found) if found else [f"{workspace.scorecard}: no scorecard; materialize it first"]

        return audit

    def thresholds(found: dict) -> list[str]:
        from parler_assets.tts.scoring.stage import check_thresholds

        return check_thresholds(found, recipe.evaluation.thresholds)

    def chance(found: dict) -> list[str]:
        from parler_assets.tts.scoring.stage import not_above_chance

        return not_above_chance(found)

    every, wanted = "Every prompt gave audio.", "Scores reach evaluation.thresholds of the recipe."
    base, luck = "No score got worse than the base checkpoint's.", "What was asked for is heard more often than chance."
    return [
        asset_checks(dg.AssetKey("evaluation_samples"), [Check("all_spoken", every, spoken, blocking=False)]),
        asset_checks(
            dg.AssetKey("scorecard"),
            [
                Check("thresholds", wanted, card(thresholds), blocking=False),
                Check("not_below_base", base, card(lambda found: found["worse_than_base"]), blocking=False),
                Check("above_chance", luck, card(chance), blocking=False),
            ],
        ),
    ]
