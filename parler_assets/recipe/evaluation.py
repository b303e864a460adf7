"""Which samples are generated, what they must reach, and where a checkpoint is published."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from parler_assets.recipe.section import BY_CONTENT, Section
from parler_assets.recipe.spellings import is_english, style_of


class Thresholds(Section):
    """What a checkpoint must reach to be released; None is reported without a gate."""

    speaker_gender: float | None = Field(None, ge=0, le=1)
    speaker_probe: float | None = Field(None, ge=0, le=1)
    style_probe: float | None = Field(None, ge=0, le=1)
    rate_exact: float | None = Field(None, ge=0, le=1)
    rate_within_one: float | None = Field(None, ge=0, le=1)
    rate_spearman: float | None = Field(None, ge=-1, le=1)
    rate_monotone: float | None = Field(None, ge=0, le=1)
    word_error_rate: float | None = Field(None, ge=0, description="by the grammar ASR")
    word_error_rate_open: float | None = Field(None, ge=0, description="by evaluation.recogniser")
    silent: float | None = Field(None, ge=0, le=1)
    stopped_by_itself: float | None = Field(None, ge=0, le=1)
    held_out_loss: float | None = Field(None, gt=0)


JUDGING = {"thresholds", "recogniser", "recogniser_revision", "judged", "recognised"}
Graded = Literal["speaking_rate", "noise", "reverberation", "speech_monotony", "pitch"]


class Evaluation(Section):
    """Which samples are generated, and what they must reach."""

    MODELS: ClassVar = ("recogniser",)

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
    recognised: int | None = Field(
        200, ge=2, description="grid samples of each system that the grammar ASR hears; null: all"
    )
    temperature: float = Field(1.0, ge=0)
    top_k: int = Field(50, ge=0)
    guidance_scale: float = Field(1.0, ge=1)
    max_seconds: float = Field(12.0, gt=0)
    batch_size: int = Field(16, ge=1)
    seed: int = 456
    # left out of digests where it is the machine's choice: samples that were made before it could be set are taken over
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", exclude_if=lambda value: value == "auto", description="of speaking; auto: what the machine has"
    )
    language: str = Field("en", exclude_if=is_english, description="of what is spoken: that of the recipe's corpora")
    thresholds: Thresholds = Thresholds()

    @field_validator("styles")
    @classmethod
    def _as_stages_spell_them(cls, styles: list[str]) -> list[str]:
        return list(dict.fromkeys(map(style_of, styles)))

    @property
    def speaking(self) -> dict:
        """The settings that generated samples depend on; the others only say how they are judged."""
        return self.model_dump(mode="json", exclude=JUDGING)

    @property
    def recognising(self) -> list[str | None]:
        """The recogniser on the Hub and its commit, or the content of its folder."""
        return [self.model_dump(mode="json", context=BY_CONTENT)["recogniser"], self.recogniser_revision]


class Serving(Section):
    """What `say` and `serve` know beside the checkpoint; no asset depends on it."""

    voices: dict[str, str] = Field({}, description="names that clients ask for (alloy, nova), and the voice for each")
    lexicon: dict[str, str] = Field({}, description="words, and how they are spelled to be said rightly")


class Release(Section):
    """Where a checkpoint is published, and under which terms. The token comes from HF_TOKEN in the environment only."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository of the checkpoint")
    data_repo: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="of tags, bins and descriptions")
    private: bool = True
    licence: str = Field(description="SPDX name; refused where a corpus or the base does not allow it")
    voice_consent: str = Field(min_length=10, description="how the speakers agreed to a synthetic voice; in the card")
    intended_use: str = Field("Research on controllable speech synthesis.", description="in the card")
    registered_as: str | None = Field(None, description="name in MLflow's registry; None: not registered")
