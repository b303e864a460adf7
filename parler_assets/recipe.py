"""A recipe: one YAML file that says what is built, from what, and how.

Nothing here knows Dagster, torch or audio. A recipe is checked completely when it is loaded: an unknown key, a missing
file, a wrong type or an impossible combination raises `RecipeError` naming the key and the remedy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SHIPPED = ("sample", "expresso")
EDGE_SETS = ("v01_2024_04", "v01", "v02")


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------------------------------------- where clips come from


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
    def written(self) -> bool:
        return isinstance(self.descriptions, WrittenDescriptions)


# --------------------------------------------------------------------------------------------- what is done with them


class Shards(Section):
    rows: int = Field(256, gt=0, description="rows of one shard: what a crash can lose")
    max_set_aside: float = Field(0.02, ge=0, le=1, description="share of clips set aside above which a check fails")


class Annotation(Section):
    """Continuous tags. Eras are DataSpeech's two incompatible definitions; both are kept, bins read one."""

    era: Literal["a", "b"] = Field("a", description="a: until May 2024 (v01); b: since (v02)")
    phonemes: Literal["before_2_2", "since_2_2"] = Field("before_2_2", description="behaviour of g2p around its 2.2")
    pitch: Literal["praat", "penn", "penn_viterbi", "penn_fast"] = Field(
        "praat", description="tracker; penn_fast looks at every fourth frame"
    )
    room: Literal["classical", "brouhaha", "brouhaha_fast"] = Field(
        "classical", description="estimator of SNR, C50 and speech duration; brouhaha_fast overlaps less"
    )
    quality: Literal["none", "squim"] = Field("none", description="STOI, PESQ and SI-SDR")
    batch_seconds: float = Field(600, gt=0, description="seconds of audio in one batch of a network")


class Tolerances(Section):
    """Estimated edges leave out values this many standard deviations from the mean; None keeps all."""

    pitch: float | None = Field(2.0, gt=0)
    speaking_rate: float | None = Field(4.0, gt=0)
    noise: float | None = Field(3.5, gt=0)
    reverberation: float | None = Field(4.0, gt=0)
    speech_monotony: float | None = Field(4.0, gt=0)
    sdr_noise: float | None = Field(None, gt=0)
    pesq_speech_quality: float | None = Field(None, gt=0)


class LowestEdges(Section):
    """Where estimated edges begin; None (or 0, as in DataSpeech): at the lowest value."""

    speaking_rate: float | None = None
    noise: float | None = None


class Binning(Section):
    """Published edges by name, own edges by path, or edges estimated from this recipe's own clips."""

    edges: str = Field("v01_2024_04", description="v01_2024_04, v01, v02, estimated, or a path to a JSON of edges")
    labels: str | None = Field(None, description="v01, v02 or a path; None: the ones that belong to the edges")
    tolerances: Tolerances = Tolerances()
    lowest: LowestEdges = LowestEdges()
    leading: list[str] | None = Field(
        None, description="corpora that estimated edges are made from, pitch excepted; None: all the recipe describes"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        for key, value, known in (
            ("edges", self.edges, (*EDGE_SETS, "estimated")),
            ("labels", self.labels, ("v01", "v02")),
        ):
            if value is not None and value not in known and not Path(value).is_file():
                raise ValueError(f"{key}: {value!r} is neither one of {', '.join(known)} nor a file")
        return self


class Describing(Section):
    """How text bins become English."""

    engine: Literal["template", "transformers", "vllm", "server"] = "template"
    prompt: str = Field(
        "expresso",
        description="expresso, generic_v01, generic_v02, generic_v02_accent, named_v01, named_v02, or a template file",
    )
    model: str | None = Field(None, description="Hub id or folder of the language model")
    revision: str = "main"
    url: str | None = Field(
        None,
        description="server engine: base URL of an OpenAI-compatible endpoint; its key comes from PARLER_LLM_API_KEY",
    )
    paraphrases: int = Field(8, ge=1, le=64, description="verified paraphrases per distinct attribute tuple")
    captions: list[Literal["named", "situational"]] = ["named"]
    temperature: float = Field(0.6, ge=0, le=2)
    max_new_tokens: int = Field(256, ge=16)
    attempts: int = Field(3, ge=1, le=10, description="how often a rejected paraphrase is asked for, with new seeds")
    max_rejected: float = Field(0.5, ge=0, le=1, description="share of rejected answers above which a check warns")
    structured: bool = Field(False, description="ask for JSON with one field; vllm and server")
    batch_size: int = Field(32, ge=1, description="prompts of one batch; of the server engine: requests at a time")
    timeout: float = Field(120, gt=0, description="server engine: seconds to wait for one answer")
    load_in_4bit: bool = Field(False, description="transformers engine on CUDA: weights in 4 bits by bitsandbytes")
    tensor_parallel: int = Field(1, ge=1)
    seed: int = 456

    @model_validator(mode="after")
    def _engine_is_complete(self) -> Self:
        if self.engine in ("transformers", "vllm", "server") and not self.model:
            raise ValueError(f"engine {self.engine} needs describing.model")
        if self.engine == "server" and not self.url:
            raise ValueError("engine server needs describing.url")
        return self


class Base(Section):
    """The checkpoint that coding and fine-tuning start from: a Hub repository, a folder, or the one we ship."""

    repo: str | None = None
    path: Path | None = None
    revision: str = "main"
    licence: str | None = "Apache-2.0"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.repo and self.path:
            raise ValueError("give either repo or path, not both (neither: the shipped sample base)")
        return self


class Coding(Section):
    """How clips become the codec's codes."""

    batch_seconds: float = Field(120, gt=0, description="seconds of audio encoded at once")


class Lora(Section):
    """Low-rank adapters instead of all weights, for cards of 12-16 GB; merged into the weights when saved."""

    rank: int = Field(16, ge=1, le=512)
    alpha: float = Field(32.0, gt=0, description="strength: updates are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1)
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
        None, gt=0, description="decoder positions of one micro-batch, padding included: a limit on memory"
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

    def variant(self, name: str) -> Training:
        """The settings of one variant of the sweep, itself without variants."""
        return Training.model_validate({**self.model_dump(exclude={"variants"}), **self.variants[name]})

    @model_validator(mode="after")
    def _variants_are_possible(self) -> Self:
        for name, changes in self.variants.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "variants" in changes:
                raise ValueError(f"variants.{name}: needs a lower-case name, and changes settings other than variants")
            try:
                self.variant(name)
            except ValidationError as error:
                raise ValueError(_explain(error, f"variants.{name}")) from None
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds must be below max_seconds")
        if self.effective_batch_size % (self.batch_size * self.processes):
            raise ValueError("effective_batch_size must be a multiple of batch_size x processes")
        return self


class Thresholds(Section):
    """What a checkpoint must reach to be released; None is reported without a gate."""

    speaker_gender: float | None = Field(None, ge=0, le=1)
    speaker_probe: float | None = Field(None, ge=0, le=1)
    style_probe: float | None = Field(None, ge=0, le=1)
    rate_exact: float | None = Field(None, ge=0, le=1)
    rate_within_one: float | None = Field(None, ge=0, le=1)
    rate_spearman: float | None = Field(None, ge=-1, le=1)
    rate_monotone: float | None = Field(None, ge=0, le=1)
    word_error_rate: float | None = Field(None, ge=0, description="by the grammar recogniser")
    word_error_rate_open: float | None = Field(None, ge=0, description="by evaluation.recogniser")
    silent: float | None = Field(None, ge=0, le=1)
    stopped_by_itself: float | None = Field(None, ge=0, le=1)
    held_out_loss: float | None = Field(None, gt=0)


Graded = Literal["speaking_rate", "noise", "reverberation", "speech_monotony", "pitch"]


class Evaluation(Section):
    """Which samples are generated, and what they must reach."""

    speakers: list[str] = Field(min_length=1)
    styles: list[str] = Field(min_length=1)
    rates: list[str] = Field(["moderate speed"], min_length=1)
    texts_per_cell: int = Field(1, ge=1, description="held-out texts for every speaker x style x rate")
    texts: list[str] | None = Field(None, description="texts to speak; None: held-out transcripts")
    seeds: int = Field(1, ge=1, le=20, description="samples of every prompt, each with a seed of its own")
    graded: list[Graded] = Field(
        ["speaking_rate"], description="attributes asked for in all their degrees, of every speaker, on the same words"
    )
    emphasis: int = Field(1, ge=0, description="texts each speaker says with a *marked* word, and without the mark")
    quality: int = Field(1, ge=0, description="texts each speaker says in the best and the worst recording quality")
    long_sentences: int = Field(3, ge=0, description="sentences of each speaker's one long text; 0: none")
    recogniser: str | None = Field(
        None, description="open recogniser: Hub id or folder of a Whisper checkpoint; null: the grammar alone"
    )
    recogniser_revision: str = Field("main", description="commit of the recogniser; what was used is in the scorecard")
    judged: int = Field(40, ge=0, description="samples of each system that the slow judges of quality hear; 0: none")
    temperature: float = Field(1.0, ge=0)
    top_k: int = Field(50, ge=0)
    guidance_scale: float = Field(1.0, ge=1)
    max_seconds: float = Field(12.0, gt=0)
    batch_size: int = Field(16, ge=1)
    seed: int = 456
    thresholds: Thresholds = Thresholds()

    @property
    def speaking(self) -> dict:
        """The settings that generated samples depend on; the others only say how they are judged."""
        return self.model_dump(mode="json", exclude={"thresholds", "recogniser", "recogniser_revision", "judged"})


class Release(Section):
    """Where a checkpoint is published, and under which terms. The token comes from HF_TOKEN in the environment only."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository of the checkpoint")
    data_repo: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="of tags, bins and descriptions")
    private: bool = True
    licence: str = Field(description="SPDX name; refused where a corpus or the base does not allow it")
    voice_consent: str = Field(min_length=10, description="how the speakers agreed to a synthetic voice; in the card")
    intended_use: str = Field("Research on controllable speech synthesis.", description="in the card")
    registered_as: str | None = Field(None, description="name in MLflow's registry; None: not registered")


class Recipe(Section):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    corpora: dict[str, Corpus] = Field(min_length=1)
    shards: Shards = Shards()
    annotation: Annotation = Annotation()
    binning: Binning = Binning()
    describing: Describing = Describing()
    base: Base = Base()
    coding: Coding = Coding()
    training: Training = Training()
    evaluation: Evaluation
    release: Release | None = Field(
        None, description="what the asset `release` publishes; None: there is no such asset"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.corpora:
            if not name.isidentifier() or name in ("training", "evaluation", "base"):
                raise ValueError(
                    f"corpora.{name}: a corpus needs a lower-case identifier other than training, evaluation, base"
                )
        if self.annotation.era == "b" and self.binning.edges.startswith("v01"):
            raise ValueError(
                "binning.edges v01 were made from era a tags: set annotation.era to a, or binning.edges to v02"
            )
        if self.annotation.era == "a" and self.binning.edges == "v02":
            raise ValueError(
                "binning.edges v02 were made from era b tags: set annotation.era to b, or binning.edges to v01_2024_04"
            )
        return self


# ------------------------------------------------------------------------------------------------------------- loading


def load_recipe(name_or_path: str | Path | None = None) -> Recipe:
    """Load a shipped recipe by name or any recipe by path; None reads PARLER_RECIPE (default `sample`).

    Raises:
        RecipeError: naming file, key and remedy.
    """
    chosen = str(name_or_path or os.environ.get("PARLER_RECIPE") or "sample")
    text, origin = _read(chosen)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise RecipeError(
            f"{origin}: a recipe is a mapping of sections; copy parler_assets/recipes/sample.yaml to start"
        )
    try:
        return Recipe.model_validate(_resolve_paths(content, Path(origin).parent))
    except ValidationError as error:
        raise RecipeError(_explain(error, origin)) from None


def digest(*sections: BaseModel | dict | list | str | int | float | None) -> str:
    """Twelve hex digits that change when any of the given sections changes."""
    plain = [s.model_dump(mode="json") if isinstance(s, BaseModel) else s for s in sections]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _read(chosen: str) -> tuple[str, str]:
    if chosen in SHIPPED:
        file = resources.files("parler_assets") / "recipes" / f"{chosen}.yaml"
        return file.read_text(encoding="utf-8"), str(file)
    path = Path(chosen).expanduser()
    if not path.is_file():
        raise RecipeError(f"no recipe {chosen!r}: give one of {', '.join(SHIPPED)} or the path of a YAML file")
    return path.read_text(encoding="utf-8"), str(path.resolve())


_PATH_KEYS = ("path", "metadata", "held_out_ids")


def _resolve_paths(node, folder: Path):
    """Paths in a recipe are relative to the recipe's own folder, wherever it is used from."""
    if isinstance(node, dict):
        return {
            k: _resolved(v, folder) if k in _PATH_KEYS and isinstance(v, str) else _resolve_paths(v, folder)
            for k, v in node.items()
        }
    if isinstance(node, list):
        return [_resolve_paths(item, folder) for item in node]
    return node


def _resolved(value: str, folder: Path) -> str:
    path = Path(value).expanduser()
    return str(path if path.is_absolute() else (folder / path).resolve())


def _explain(error: ValidationError, origin: str) -> str:
    lines = [f"{origin}: {error.error_count()} problem(s)"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "recipe"
        remedy = {
            "extra_forbidden": "unknown key: remove it or correct its spelling",
            "missing": "required: add it",
        }.get(problem["type"])
        lines.append(f"  {key}: {remedy or problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
