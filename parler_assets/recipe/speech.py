"""What is done with clips: tags, bins, descriptions and codes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from parler_assets.intake.near import did_you_mean
from parler_assets.recipe.section import Section
from parler_assets.recipe.spellings import is_english

# Commits of annotators' weights on the Hub; fcnf0++.pt of the first has SHA-256 28d89add0472...
PENN_COMMIT = "74911e26f43ad38790a42592e77f9d8be0a5dd1c"
BROUHAHA_COMMIT = "99bf97b13fd4dda2434a6f7c50855933076f2937"
EDGE_SETS = ("v01_2024_04", "v01", "v02")
LABEL_SETS = ("v01", "v02")
# What a description states is chosen by one of these prompts, or by a template file.
PROMPTS = ("expresso", "generic_v01", "generic_v02", "generic_v02_accent", "named_v01", "named_v02")


class Shards(Section):
    rows: int = Field(256, gt=0, description="rows of one shard: what a crash can lose")
    max_set_aside: float = Field(0.02, ge=0, le=1, description="share of clips set aside, above which a check fails")


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
    pitch_revision: str = Field(PENN_COMMIT, description="commit of penn's weights, maxrmorrison/fcnf0-plus-plus")
    room_revision: str = Field(BROUHAHA_COMMIT, description="commit of Brouhaha's weights, ylacombe/brouhaha-best")
    quality: Literal["none", "squim"] = Field("none", description="STOI, PESQ and SI-SDR")
    batch_seconds: float = Field(600, gt=0, description="seconds of audio in one batch of a network")
    language: str = Field(
        "en", exclude_if=is_english, description="of the transcripts; in a recipe that of its corpora"
    )


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

    FILES: ClassVar = {"edges": (*EDGE_SETS, "estimated"), "labels": LABEL_SETS}

    edges: str = Field("v01_2024_04", description="v01_2024_04, v01, v02, estimated, or a path to a JSON of edges")
    labels: str | None = Field(None, description="v01, v02 or a path; None: the ones that belong to the edges")
    tolerances: Tolerances = Tolerances()
    lowest: LowestEdges = LowestEdges()
    leading: list[str] | None = Field(
        None, description="corpora that estimated edges are made from, pitch excepted; None: all the recipe describes"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        for key, known in self.FILES.items():
            value = getattr(self, key)
            if value is not None and value not in known and not Path(value).is_file():
                name, folder = Path(value).name, Path(value).parent
                raise ValueError(f"{key}: {name!r} is neither one of {', '.join(known)} nor a file in {folder}")
        return self


class Describing(Section):
    """How text bins become English."""

    FILES: ClassVar = {"prompt": PROMPTS}
    MODELS: ClassVar = ("model",)

    engine: Literal["template", "transformers", "vllm", "server"] = "template"
    prompt: str = Field(
        "expresso",
        description=f"{', '.join(PROMPTS)}, or a template file",
    )
    model: str | None = Field(None, description="Hub id or folder of the language model")
    revision: str = "main"
    url: str | None = Field(
        None,
        description="server engine: base URL of an OpenAI-compatible endpoint; its key comes from PARLER_LLM_API_KEY",
    )
    paraphrases: int = Field(8, ge=1, le=64, description="verified paraphrases per distinct attribute tuple")
    captions: list[Literal["named", "situational"]] = Field(["named"], description="kinds of description, in turn")
    temperature: float = Field(0.6, ge=0, le=2)
    max_new_tokens: int = Field(256, ge=16)
    attempts: int = Field(3, ge=1, le=10, description="how often a rejected paraphrase is asked for, with new seeds")
    max_rejected: float = Field(0.5, ge=0, le=1, description="share of rejected answers above which a check warns")
    structured: bool = Field(False, description="ask for JSON with one field; vllm and server")
    batch_size: int = Field(32, ge=1, description="prompts of one batch; of the server engine: requests at a time")
    timeout: float = Field(120, gt=0, description="server engine: seconds to wait for one answer")
    load_in_4bit: bool = Field(False, description="transformers engine on CUDA: weights in 4 bits by bitsandbytes")
    tensor_parallel: int = Field(1, ge=1)
    # left out of digests where it is vLLM's own: descriptions that were written before it could be set are taken over
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, exclude_if=lambda value: value is None,
        description="vllm engine: share of each card's memory that it takes; null: its own default, 0.9",
    )  # fmt: skip
    seed: int = 456

    @model_validator(mode="after")
    def _engine_is_complete(self) -> Self:
        if self.engine in ("transformers", "vllm", "server") and not self.model:
            raise ValueError(f"engine {self.engine} needs describing.model")
        if self.engine == "server" and not self.url:
            raise ValueError("engine server needs describing.url")
        prompt = Path(self.prompt)
        if self.prompt not in PROMPTS and not prompt.expanduser().is_file():
            meant = did_you_mean(prompt.name, PROMPTS) or f"give one of {', '.join(PROMPTS)}, or a template file"
            raise ValueError(f"prompt: there is no {prompt.name!r} in {prompt.parent}: {meant}")
        return self


class Coding(Section):
    """How clips become the codec's codes."""

    batch_seconds: float = Field(120, gt=0, description="seconds of audio encoded at once")
