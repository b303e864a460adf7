"""Where clips come from: the sources, and the corpora made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from parler_assets.recipe.section import Section


class Columns(Section):
    """Column names of a source; None where the source has no such column."""

    id: str | None = Field("id", description="unique name of a clip; None: made from the row number")
    audio: str = "audio"
    text: str = "text"
    speaker: str | None = "speaker_id"
    style: str | None = None
    gender: str | None = None


class HubSource(Section):
    """A data set on the Hugging Face Hub, in Parquet."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    config: str = "default"
    split: str = Field("train", description="a split with an optional slice, such as train[:20%]")
    revision: str = Field("main", description="commit; a branch is resolved once and pinned in the workspace")
    columns: Columns = Columns()
    licence: str | None = Field(None, description="SPDX name, carried into every card")


class FolderSource(Section):
    """Recordings in a local folder, or a folder written by `datasets` save_to_disk."""

    kind: Literal["folder"]
    path: Path
    metadata: Path | None = Field(None, description="CSV/JSONL of texts; None: metadata.csv in the folder")
    columns: Columns = Columns()
    licence: str | None = None


class SyntheticSource(Section):
    """Speech synthesized at run time by espeak-ng, the same on every run."""

    kind: Literal["synthetic"]
    voices: Literal["named", "generic", "pretraining"] = Field(
        description="named: the four speakers in eight styles; generic: many voices, noisy and roomy; "
        "pretraining: nameless voices in every style, mostly clean, as the sample's base was made from"
    )
    clips: int = Field(gt=0, description="how many clips to synthesize")
    seed: int = 0
    licence: str | None = "CC0-1.0"


Source = Annotated[HubSource | FolderSource | SyntheticSource, Field(discriminator="kind")]


class WrittenDescriptions(Section):
    """Descriptions that this project writes from the clip's text bins."""

    kind: Literal["written"] = "written"


class PublishedDescriptions(Section):
    """Descriptions joined by id from a published metadata set; the lane then has neither tags nor bins of ours."""

    kind: Literal["published"]
    repo: str | None = Field(None, description="Hub data set of descriptions")
    path: Path | None = Field(None, description="local CSV, JSONL or Parquet of descriptions")
    config: str = "default"
    split: str = "train"
    revision: str = "main"
    id_column: str = "id"
    description_column: str = "text_description"
    licence: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.repo and self.path:
            raise ValueError("give either repo or path, not both")
        return self


class Corpus(Section):
    """A named source of clips: one lane of the asset graph."""

    source: Source
    speaker_names: dict[str, str] = Field({}, description="speaker id to the name used in descriptions")
    genders: dict[str, Literal["male", "female"]] = Field(
        {}, description="speaker (id or name) to gender, for pitch bins"
    )
    styles: list[str] | None = Field(None, description="keep only clips of these styles; None keeps all")
    descriptions: Annotated[WrittenDescriptions | PublishedDescriptions, Field(discriminator="kind")] = (
        WrittenDescriptions()
    )
    weight: float = Field(1.0, gt=0, le=100, description="how often a clip counts in an epoch of training")
    held_out: float = Field(
        0.05, ge=0, lt=0.9, description="share of clips kept for evaluation, chosen by a stable hash"
    )
    held_out_ids: Path | None = Field(None, description="file with one held-out clip id a line; replaces held_out")

    @model_validator(mode="after")
    def _published_needs_an_origin(self) -> Self:
        published = self.descriptions
        brings_its_own = isinstance(self.source, SyntheticSource) and self.source.voices == "generic"
        if isinstance(published, PublishedDescriptions) and not (published.repo or published.path or brings_its_own):
            raise ValueError("descriptions.kind published needs descriptions.repo or descriptions.path")
        return self

    @property
    def annotated_here(self) -> bool:
        """Whether its clips are annotated and described here, not described by what was published."""
        return isinstance(self.descriptions, WrittenDescriptions)
