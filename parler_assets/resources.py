"""What assets share: where things lie, which device computes, and the MLflow record of what was measured."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import dagster as dg
from pydantic import Field, create_model

from parler_assets.tracking import WORK, Run, Store


def project_folder() -> Path:
    """The folder with `workspace.yaml`: the current one, or the one this package was installed from."""
    here = Path.cwd()
    return here if (here / "workspace.yaml").is_file() else Path(__file__).resolve().parents[1]


class Workspace(dg.ConfigurableResource):
    """Where a recipe's files lie: `<folder>/<recipe>/<corpus>/<stage>`, and what several recipes share in `cache`."""

    recipe: str = Field(description="name of the recipe, and of its folder")
    folder: str = Field(default="data", description="absolute, or relative to the project folder")
    rebuild: bool = Field(default=False, description="compute again what is there and up to date")

    @property
    def data(self) -> Path:
        return project_folder() / Path(self.folder).expanduser()

    @property
    def root(self) -> Path:
        return self.data / self.recipe

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    def lane(self, corpus: str, stage: str) -> Path:
        """Folder of one stage of one corpus: raw_dataset, continuous_tags, text_bins, llm_descriptions, dac_codes."""
        return self.root / corpus / stage

    @property
    def base_checkpoint(self) -> Path:
        return self.root / "base_checkpoint"

    @property
    def training_set(self) -> Path:
        return self.root / "training_set"

    @property
    def finetuned_checkpoint(self) -> Path:
        return self.root / "finetuned_checkpoint"

    @property
    def sweep(self) -> Path:
        return self.root / "sweep"

    @property
    def evaluation_samples(self) -> Path:
        return self.root / "evaluation_samples"

    @property
    def scorecard(self) -> Path:
        return self.root / "scorecard"

    def base_path(self) -> Path:
        """The folder of the base checkpoint that was found and pinned when `base_checkpoint` was materialized."""
        return Path(self.recall(self.base_checkpoint)["path"])

    def finetuned_path(self) -> Path:
        """The folder of the checkpoint that training ended with."""
        return Path(self.recall(self.finetuned_checkpoint)["checkpoint"])

    def remember(self, folder: Path, **facts: str | None) -> None:
        """Keep where an asset's result really lies, for the assets below it."""
        from parler_assets.speech.shards import write_json

        write_json(folder / "result.json", facts)

    def recall(self, folder: Path) -> dict[str, str]:
        """What `remember` kept.

        Raises:
            dagster.Failure: the asset has not been materialized.
        """
        found = self.remembered(folder)
        if not found:
            message = f"{folder.name} has not been materialized in {folder.parent}: materialize it first"
            raise dg.Failure(message, allow_retries=False)
        return found

    def remembered(self, folder: Path) -> dict[str, str]:
        """What `remember` kept; empty when there is nothing."""
        try:
            return json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}


def workspace_of(recipe: str) -> Workspace:
    """The workspace of a recipe; all recipes' files go to `PARLER_DATA`, or `data` in the project folder.

    Both values are made defaults of the class: the Launchpad fills them in beside whatever else is changed for a run.
    """
    defaults: dict[str, Any] = {"recipe": recipe, "folder": os.environ.get("PARLER_DATA", "data")}
    fields: dict[str, Any] = {
        name: (str, Field(default=value, description=Workspace.model_fields[name].description))
        for name, value in defaults.items()
    }
    model = create_model("Workspace", __base__=Workspace, __doc__=Workspace.__doc__, **fields)
    return cast(Any, model)()


class Accelerator(dg.ConfigurableResource):
    """The device that networks run on, and the cluster that tags and codes of a large corpus are spread over."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:1; auto takes a free GPU if there is one")
    ray: str = Field(
        default="", description="Ray cluster for tags and codes: auto, ray://host:10001, local; empty: none"
    )
    ray_gpus: float = Field(default=0.0, description="GPUs that the making of one shard holds there")

    def taken(self, workspace: Workspace, several: bool = False) -> AbstractContextManager[str]:
        """The device, held until the block ends; `several` takes all GPUs, for one process on each."""
        from parler_assets.devices import taken

        locks = workspace.data / "locks" / socket.gethostname()  # the folder may be shared, devices are not
        return taken(self.device, locks, several)

    @contextmanager
    def spread(self, workspace: Workspace) -> Iterator[str]:
        """The device for work that is cut into shards: one of this machine, or that of each worker of a Ray cluster."""
        if not self.ray:
            with self.taken(workspace) as device:
                yield device
            return
        from parler_assets.speech.spread import over_ray

        with over_ray(self.ray, self.ray_gpus):
            yield "cuda" if self.ray_gpus else "cpu"


class Tracking(dg.ConfigurableResource):
    """MLflow: a SQLite file in the workspace unless a server is named; no server is needed to record."""

    uri: str = Field(default="", description="tracking URI; empty: mlflow.db in the recipe's folder")
    ui: str = Field(default="http://127.0.0.1:5000", description="where the MLflow UI is, for links in metadata")
    dagster_ui: str = Field(default="http://127.0.0.1:3000", description="where the Dagster UI is, for links in MLflow")

    def store(self, workspace: Workspace) -> Store:
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.root / 'mlflow.db'}"
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

    def link(self, run: str, workspace: Workspace) -> dg.MetadataValue:
        """A link to an MLflow run, for an asset's metadata."""
        experiment = self.store(workspace).experiment()
        return dg.MetadataValue.url(f"{self.ui}/#/experiments/{experiment}/runs/{run}")
