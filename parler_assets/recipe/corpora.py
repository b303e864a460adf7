"""Where clips come from: the sources, and the corpora made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from parler_assets.recipe.patterns import PATTERNS, expression_of
from parler_assets.recipe.section import Section
from parler_assets.recipe.spellings import as_gender, style_of


def is_none(value: object) -> bool:
    """Left out of digests: what was made before such a setting was there is taken over."""
    return value is None or value == {}


class Columns(Section):
    """Column names of a source; None where the source has no such column."""

    id: str | None = Field("id", description="unique name of a clip; None: made from the row number")
    audio: str = "audio"
    text: str = "text"
    speaker: str | None = "speaker_id"
    style: str | None = None
    gender: str | None = None
    accent: str | None = Field(None, exclude_if=is_none)
    age: str | None = Field(None, exclude_if=is_none)


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

    FILES: ClassVar = {"path": (), "metadata": ()}

    kind: Literal["folder"]
    path: Path
    metadata: Path | None = Field(None, description="CSV/JSONL of texts; None: metadata.csv in the folder")
    columns: Columns = Columns()
    pattern: str | None = Field(
        None, exclude_if=is_none,
        description=f"of the recordings' paths: {', '.join(PATTERNS)}, or as in {{speaker}}/{{style}}/{{id}}: what a "
        "table does not say is read from them; texts lie beside sounds where there is no table",
    )  # fmt: skip
    values: dict[Literal["speaker", "style", "gender", "text", "accent", "age"], dict[str, str]] = Field(
        {}, exclude_if=is_none,
        description="what a part of such a path means, as in style: {A: angry, W: happy}; those of a speaker too",
    )  # fmt: skip
    licence: str | None = None

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str | None) -> str | None:
        if pattern is not None and pattern not in PATTERNS:
            expression_of(pattern)
        return pattern


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

    FILES: ClassVar = {"path": ()}

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

    FILES: ClassVar = {"held_out_ids": ()}

    source: Source
    language: str = Field("en", pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z]{2,4})?$", description="code, such as de or pt-BR")
    spoken_form: bool = Field(
        True, description="train on numbers, dates and signs in words; the column `written` keeps the original"
    )
    speaker_names: dict[str, str] = Field({}, description="speaker id to the name used in descriptions")
    genders: dict[str, Annotated[Literal["male", "female"], BeforeValidator(as_gender)]] = Field(
        {}, description="speaker (id or name) to gender, for pitch bins"
    )
    styles: list[str] | None = Field(None, description="keep only clips of these styles; None keeps all")
    descriptions: Annotated[WrittenDescriptions | PublishedDescriptions, Field(discriminator="kind")] = (
        WrittenDescriptions()
    )
    transcripts_heard: int = Field(
        24, ge=0, le=1000, description="clips that an ASR compares with their texts before anything is trained; 0: none"
    )
    weight: float = Field(1.0, gt=0, le=100, description="how often a clip counts in an epoch of training")
    held_out: float = Field(
        0.05, ge=0, lt=0.9, description="share of clips kept for evaluation, chosen by a stable hash"
    )
    held_out_ids: Path | None = Field(None, description="file with one held-out clip id a line; replaces held_out")

    @field_validator("styles")
    @classmethod
    def _as_stages_spell_them(cls, styles: list[str] | None) -> list[str] | None:
        return None if styles is None else [style_of(style) for style in styles]

    @model_validator(mode="after")
    def _published_needs_an_origin(self) -> Self:
        published = self.descriptions
        brings_its_own = isinstance(self.source, SyntheticSource) and self.source.voices == "generic"
        if isinstance(published, PublishedDescriptions) and not (published.repo or published.path or brings_its_own):
            raise ValueError("descriptions.kind published needs descriptions.repo or descriptions.path")
        return self

    @property
    def of_rows(self) -> dict:
        """What the rows of its raw data set depend on, beside the source."""
        return self.model_dump(mode="json", include={"speaker_names", "genders", "styles", "language", "spoken_form"})

    @property
    def annotated_here(self) -> bool:
        """Whether this project writes its descriptions, from tags and bins of its own."""
        return isinstance(self.descriptions, WrittenDescriptions)
