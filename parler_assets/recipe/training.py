"""The checkpoint training starts from, and how it is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from parler_assets.recipe.section import Section, explain

# The settings a training set obeys; the others belong to the checkpoint alone.
TRAINING_SET_FIELDS = (
    "min_seconds",
    "max_seconds",
    "max_text_length",
    "max_description_length",
    "max_prompt_tokens",
    "max_description_tokens",
    "max_train_clips",
    "max_held_out_clips",
    "min_hours",
)

NOT_STATED, OURS = "not stated", "Apache-2.0"  # licences of a base: unknown, and that of the shipped one


class Base(Section):
    """The checkpoint that coding and fine-tuning start from: a Hub repository, a folder, or the one we ship."""

    FILES: ClassVar = {"path": ()}

    repo: str | None = None
    path: Path | None = None
    revision: str = "main"
    licence: str | None = Field(None, description="SPDX name; null: nobody stated it, except for the one we ship")

    @property
    def terms(self) -> str:
        """The licence that somebody stated."""
        return self.licence or (NOT_STATED if self.repo or self.path else OURS)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.repo and self.path:
            raise ValueError("give either repo or path, not both (neither: the shipped sample base)")
        return self


class Lora(Section):
    """Low-rank adapters instead of all weights, for cards of 12-16 GB; merged into the weights when saved."""

    rank: int = Field(16, ge=1, le=512, description="columns of an adapter: more learn more, and take more memory")
    alpha: float = Field(32.0, gt=0, description="strength: updates are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what goes into an adapter")
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"], min_length=1, description="decoder layers adapted"
    )


class Training(Section):
    """Fine-tuning; names as in transformers.TrainingArguments where both have the setting."""

    min_seconds: float = Field(2.0, ge=0, description="clips must be longer")
    max_seconds: float = Field(30.0, gt=0, description="clips must be shorter")
    max_text_length: int = Field(400, gt=0, description="characters of the transcript")
    max_description_length: int = Field(500, gt=0, description="characters of the description")
    max_prompt_tokens: int | None = Field(None, gt=0, description="tokens of the transcript")
    max_description_tokens: int | None = Field(None, gt=0, description="tokens of the description")
    max_train_clips: int | None = Field(None, gt=0, description="train on so many clips only, for a trial")
    max_held_out_clips: int | None = Field(
        None, gt=0, description="evaluate on so many clips only; below 400 the loss of a style is rough"
    )
    min_hours: float = Field(0.0, ge=0, description="refuse to train on fewer hours: a corpus may have gone missing")
    epochs: float = Field(8.0, gt=0, description="how often every clip is seen")
    max_steps: int = Field(-1, description="stop after this many updates; -1: by epochs")
    learning_rate: float = Field(
        0.00008, gt=0, description="at its highest; write 0.00008: YAML reads 8e-5 as a string"
    )
    scheduler: Literal[
        "cosine",
        "linear",
        "constant",
        "constant_with_warmup",
        "cosine_with_restarts",
        "polynomial",
        "inverse_sqrt",
    ] = Field("cosine", description="how the learning rate goes after the warm-up")
    warmup_steps: int = Field(250, ge=0, description="updates over which the learning rate rises")
    warmup_ratio: float = Field(0.0, ge=0, lt=1, description="the same as a share of all updates; 0: warmup_steps")
    weight_decay: float = Field(0.01, ge=0, description="of all trained weights, norms and embeddings too")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="decay of AdamW's mean of gradients")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="decay of AdamW's mean of squared gradients")
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's guard against division by zero")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients of a larger norm are scaled down to it")
    batch_size: int = Field(16, gt=0, description="clips per device and micro-batch")
    eval_batch_size: int | None = Field(None, gt=0, description="the same in evaluations; null: batch_size")
    effective_batch_size: int = Field(128, gt=0, description="clips per update over all devices")
    max_positions: int | None = Field(
        None,
        gt=0,
        description="decoder positions of one micro-batch, with its padding where it has any: a limit on memory; null: "
        "what the card holds",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="of the arithmetic; weights and optimiser stay float32"
    )
    freeze_text_encoder: bool = Field(True, description="descriptions are then encoded once, without dropout")
    group_by_length: bool = Field(True, description="micro-batches of similar lengths; the clips of an update stay")
    gradient_checkpointing: bool = Field(False, description="compute twice to keep less: for small cards")
    codebook_weights: list[float] | None = Field(None, description="of the codebooks' losses; null: all the same")
    like_reference: bool = Field(
        False, description="also report the reference's loss and 8-clip evaluation, as published"
    )
    evaluate_every: int = Field(100, gt=0, description="updates between held-out evaluations")
    save_every: int = Field(100, gt=0, description="updates between resumable checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="resumable checkpoints that are kept, the newest")
    keep_best: bool = Field(True, description="end with the weights of the lowest held-out loss")
    early_stopping: int = Field(0, ge=0, description="stop after this many evaluations without improvement; 0: never")
    lora: Lora | None = Field(None, description="train low-rank adapters only; null trains all decoder weights")
    log_every: int = Field(2, gt=0, description="updates between lines of metrics")
    processes: int = Field(1, ge=1, description="processes started by accelerate launch on this machine")
    seed: int = Field(456, ge=0, description="of the order of clips, dropout and adapters")
    variants: dict[str, dict[str, float | int | bool | str | None]] = Field(
        {}, description="a sweep: name to the settings it changes, each trained, scored and compared"
    )

    candidate_by: Literal["held_out_loss", "adherence"] = Field(
        "held_out_loss", description="what the variant that MLflow's registry calls `candidate` is best by"
    )

    def variant(self, name: str) -> Training:
        """The settings of one variant of the sweep, itself without variants."""
        return Training.model_validate({**self.model_dump(exclude={"variants"}), **self.variants[name]})

    @model_validator(mode="after")
    def _variants_are_possible(self) -> Self:
        for name, changes in self.variants.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "variants" in changes:
                raise ValueError(f"variants.{name}: needs a lower-case name, and changes settings other than variants")
            fixed = sorted(set(changes) & set(TRAINING_SET_FIELDS))
            if fixed:
                raise ValueError(f"variants.{name}.{fixed[0]}: all variants are trained on the same training set")
            try:
                self.variant(name)
            except ValidationError as error:
                raise ValueError(explain(error, f"variants.{name}", Training)) from None
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds must be below max_seconds")
        if self.effective_batch_size % (self.batch_size * self.processes):
            raise ValueError("effective_batch_size must be a multiple of batch_size x processes")
        return self
