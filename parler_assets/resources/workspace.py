"""Where a recipe's files lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, cast

import dagster as dg
import platformdirs
from pydantic import Field, create_model

from parler_assets.recipe.layout import CACHE, SHARED, STAGES
from parler_assets.tracking.results import remembered
from parler_assets.tracking.run import TrainingInputs

_OURS = "load_from: - python_module: module_name: parler_assets.definitions location_name: parler_assets"


def project_of(above: Path) -> Path:
    """Where data, DAGSTER_HOME and `.env` lie for a package in the folder `above`: there, where that is a checkout.

    A package installed from a wheel lies in site-packages, which is replaced with the next one: the user's own folder
    for data, as the system has it.
    """
    return above if _is_ours(above / "workspace.yaml") else platformdirs.user_data_path("parler_assets", False)


def _is_ours(workspace: Path) -> bool:
    try:
        return workspace.stat().st_size < 1000 and " ".join(workspace.read_text("utf-8").split()) == _OURS
    except (OSError, ValueError):
        return False


PROJECT = project_of(Path(__file__).resolve().parents[2])
INSTANCE_SETTINGS = Path(__file__).with_name("dagster.yaml")  # of a DAGSTER_HOME that has none


def project_folder() -> Path:
    """The folder that data lie in: the current one where its `workspace.yaml` is this project's, else `PROJECT`.

    Nothing is executed from it: what Dagster reads as code or settings is always found from the package or `PROJECT`.
    """
    here = Path.cwd()
    return here if _is_ours(here / "workspace.yaml") else PROJECT


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
        return self.data / CACHE

    def lane(self, corpus: str, stage: str) -> Path:
        """Folder of one stage of one corpus: raw_dataset, continuous_tags, text_bins, llm_descriptions, dac_codes."""
        if stage not in STAGES:
            raise KeyError(f"{stage}: add it to recipe.layout, so that no corpus is called so")
        return self.root / corpus / stage

    def shared(self, name: str) -> Path:
        """A folder beside those of the corpora."""
        if name not in SHARED:
            raise KeyError(f"{name}: add it to recipe.layout, so that no corpus is called so")
        return self.root / name

    @property
    def base_checkpoint(self) -> Path:
        return self.shared("base_checkpoint")

    @property
    def training_set(self) -> Path:
        return self.shared("training_set")

    @property
    def finetuned_checkpoint(self) -> Path:
        return self.shared("finetuned_checkpoint")

    @property
    def sweep(self) -> Path:
        return self.shared("sweep")

    @property
    def evaluation_samples(self) -> Path:
        return self.shared("evaluation_samples")

    @property
    def scorecard(self) -> Path:
        return self.shared("scorecard")

    def base_path(self) -> Path:
        """The folder of the base checkpoint that was found and pinned when `base_checkpoint` was materialized."""
        return Path(self.recall(self.base_checkpoint)["path"])

    def finetuned_path(self) -> Path:
        """The folder of the checkpoint that training ended with."""
        return Path(self.recall(self.finetuned_checkpoint)["checkpoint"])

    def recall(self, folder: Path) -> dict[str, str]:
        """What was remembered of an asset's result, by `tracking.results`.

        Raises:
            dagster.Failure: the asset has not been materialized.
        """
        found = remembered(folder)
        if not found:
            message = f"{folder.name} has not been materialized in {folder.parent}: materialize it first"
            raise dg.Failure(message, allow_retries=False)
        return found

    def training_inputs(self) -> TrainingInputs:
        """The training set and the base checkpoint, as materialized."""
        from parler_assets.storage import read_manifest

        version = read_manifest(self.training_set).digest
        base = self.recall(self.base_checkpoint)["digest"]
        return TrainingInputs(self.training_set, self.base_path(), version, base, self.commits())

    def commits(self) -> dict[str, dict[str, str]]:
        """Corpus, or `base`, to the repositories and commits that the training set and the base were built from."""
        from parler_assets.hub.revisions import COMMITS
        from parler_assets.storage import read_manifest

        base = self.recall(self.base_checkpoint)
        started = {"base": {base["repository"]: base["revision"]}} if base.get("revision") else {}
        return read_manifest(self.training_set).facts.get(COMMITS, {}) | started


def workspace_of(recipe: str) -> Workspace:
    """The workspace of a recipe; all recipes' files go to `PARLER_DATA`, or `data` in the project folder.

    Both values are made defaults of the class: the Launchpad fills them in beside whatever else is changed for a run.
    They are also the only ones that a run's configuration may have, since runs write and remove files there.
    """
    only = {"recipe": recipe, "folder": os.environ.get("PARLER_DATA", "data")}
    fields: dict[str, Any] = {
        name: (Literal[value], Field(default=value, description=Workspace.model_fields[name].description))
        for name, value in only.items()
    }
    model = create_model("Workspace", __base__=Workspace, __doc__=Workspace.__doc__, **fields)
    return cast(Any, model)()
