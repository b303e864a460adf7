"""Jobs, schedules, and the sensors of Hub revisions and failed runs. All are shipped stopped, for you to switch on."""

import json
from functools import partial

import dagster as dg

from parler_assets.recipe import HubSource, Recipe
from parler_assets.resources.tracking import Tracking
from parler_assets.resources.webhook import VARIABLE, post, webhook


def jobs(recipe: Recipe) -> list:
    """`annotate`: every corpus's lane. `train_and_evaluate`: what comes after. `everything`: both, last in the list.

    `sweep_variants` only where the recipe names variants: it is for the asking, and part of none of the others.
    """
    lanes = dg.AssetSelection.groups(*recipe.corpora)
    base, joined = dg.AssetSelection.groups("base"), dg.AssetSelection.groups("training", "evaluation")
    tags = {"dagster/max_runtime": str(round(3600 * recipe.operations.max_hours))}
    job = partial(dg.define_asset_job, tags=tags)
    variants = "Every variant of the training, scored and compared."
    sweep = job("sweep_variants", dg.AssetSelection.groups("sweep"), description=variants)
    return [
        *([sweep] if recipe.training.variants else []),
        job("annotate", lanes | base, description="Clips to tags, bins, descriptions and codes."),
        job("train_and_evaluate", joined, description="Training set, checkpoint, samples and scores."),
        job("everything", lanes | base | joined, description="The whole graph. Unchanged parts cost seconds."),
    ]


def schedules(everything, weekly: str = "0 2 * * 1", nightly: str = "0 3 * * *") -> list[dg.ScheduleDefinition]:
    """`weekly_rebuild` runs all and reuses what is unchanged; `rebuild_what_changed` runs only what is stale."""

    @dg.schedule(
        job=everything,
        cron_schedule=nightly,
        name="rebuild_what_changed",
        description="Every night: what is stale or missing, and nothing when all is up to date. A change travels one "
        "level of the graph per run: the graph follows over the next nights, or at once with the weekly rebuild.",
    )
    def rebuild_what_changed() -> dg.RunRequest:
        return dg.RunRequest(stale_assets_only=True)

    rebuild = dg.ScheduleDefinition(
        name="weekly_rebuild",
        job=everything,
        cron_schedule=weekly,
        description="Mondays at two: materialize everything; what is up to date is reused within seconds.",
    )
    return [rebuild, rebuild_what_changed]


def failed_runs(recipe: Recipe) -> dg.SensorDefinition:
    """A sensor that tells a webhook of failed runs: which run and which step, and neither settings nor error texts."""

    @dg.run_failure_sensor(
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Posts a line about every failed run to the webhook that {VARIABLE} names in the environment of "
        "the code location: https, or this machine. What failed and why stays on the run's page, which it links.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, tracking: Tracking) -> dg.SkipReason | None:
        address = webhook()
        if not address:
            return dg.SkipReason(f"{VARIABLE} is not set: nobody is told")
        run = context.dagster_run
        steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
        at = f" at {', '.join(steps)}" if steps else ""
        page = f"{tracking.dagster_ui}/runs/{run.run_id}"
        post(address, f"Recipe {recipe.name}: run {run.run_id[:8]} of {run.job_name} failed{at}. {page}")
        return None

    return failed_runs


def hub_revisions(recipe: Recipe) -> dg.SensorDefinition | None:
    """A sensor that reports new commits of the recipe's Hub data sets; None when it has none."""
    sources = {name: corpus.source for name, corpus in recipe.corpora.items() if isinstance(corpus.source, HubSource)}
    if not sources:
        return None

    @dg.sensor(
        minimum_interval_seconds=900,
        description="Asks the Hub for the current commit of every data set. A new one marks that corpus's raw_dataset "
        "as stale; it is rebuilt by you or by the schedule rebuild_what_changed.",
    )
    def hub_revisions(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.SkipReason:
        known = json.loads(context.cursor or "{}")
        found, silent = _commits(sources)
        moved = {name: sha for name, sha in found.items() if known.get(name) != sha}
        for problem in silent:
            context.log.warning(problem)
        if not moved:
            return dg.SkipReason("; ".join(["no data set has a new commit", *silent]))
        events = [
            dg.AssetMaterialization(
                [name, "hub_dataset"],
                metadata={"repository": sources[name].repo, "commit": sha},
                tags={"dagster/data_version": sha},
            )
            for name, sha in moved.items()
        ]
        return dg.SensorResult(cursor=json.dumps(known | found), asset_events=events)

    return hub_revisions


def _commits(sources: dict[str, HubSource]) -> tuple[dict[str, str], list[str]]:
    """Corpus to its commit now, and why some have none: one that cannot be asked does not hide the others."""
    from parler_assets.hub.errors import SourceError
    from parler_assets.speech.sources.hub import current_revision

    found, silent = {}, []
    for name, source in sources.items():
        try:
            found[name] = current_revision(source)
        except (SourceError, ConnectionError) as error:
            silent.append(str(error))
    return found, silent
