"""The MLflow record of what was measured, as a resource."""

from __future__ import annotations

import os

import dagster as dg
from pydantic import Field

from parler_assets.resources.workspace import Workspace
from parler_assets.tracking.database import uri_of
from parler_assets.tracking.run import WORK, Run
from parler_assets.tracking.store import Store, TrackingError, explained

VIEW = "workflowType=machine_learning"  # without it MLflow shows the experiment as traces of language models
NOT_RECORDED = "MLflow could not be reached: materialize this asset again, and what is finished is recorded"


class Tracking(dg.ConfigurableResource):
    """MLflow: a SQLite file in the workspace unless a server is named; no server is needed to record."""

    uri: str = Field(default="", description="tracking URI; empty: mlflow.db in the recipe's folder")
    ui: str = Field(default="http://127.0.0.1:5000", description="where the MLflow UI is, for links in metadata")
    dagster_ui: str = Field(default="http://127.0.0.1:3000", description="where the Dagster UI is, for links in MLflow")

    def store(self, workspace: Workspace) -> Store:
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or uri_of(workspace.root / "mlflow.db")
        return Store(uri, workspace.recipe, workspace.root)

    def run(
        self,
        context: dg.AssetExecutionContext,
        workspace: Workspace,
        parent: str | None = None,
        part: str | None = None,
        work: str | None = None,
    ) -> Run:
        """The MLflow run of this materialization: a retry or a re-execution from failure finds the same one again.

        Args:
            parent: run that this one is nested under.
            part: name of a part of the asset that has a run of its own.
            work: digest of what is being made; a new materialization then continues a run that was interrupted.
        """
        asset = "/".join([*context.asset_key.path, *([part] if part else [])])
        tags = {
            "dagster.asset": asset,
            "dagster.root_run_id": context.run.root_run_id or context.run_id,
            "dagster.run_id": context.run_id,
            "mlflow.note.content": f"[Dagster run {context.run_id[:8]}]({self.dagster_ui}/runs/{context.run_id})",
        }
        if parent:
            tags["mlflow.parentRunId"] = parent
        if work:
            tags[WORK] = f"{asset}:{work}"
        return Run(self.store(workspace), asset, tags)

    def link(self, run: str | None, workspace: Workspace) -> dg.MetadataValue:
        """A link to an MLflow run, for an asset's metadata; a sentence where there is none, or MLflow is gone."""
        if run is None:
            return dg.MetadataValue.text(NOT_RECORDED)
        store = self.store(workspace)
        try:
            with explained(store.uri):
                return dg.MetadataValue.url(f"{self.ui}/#/experiments/{store.experiment()}/runs/{run}?{VIEW}")
        except TrackingError as error:
            return dg.MetadataValue.text(str(error))
