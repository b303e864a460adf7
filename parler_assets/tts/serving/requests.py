"""The body of a request for speech: OpenAI's fields, and ours beside them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from parler_assets.tts.serving.formats import NO_AAC, Format, can_encode
from parler_assets.tts.serving.kept_voices import KeptVoice
from parler_assets.tts.serving.plan import Request
from parler_assets.tts.serving.text import SayError, decodable
from parler_assets.tts.serving.voices import Found
from parler_assets.tts.synthesis.rates import label_of_speed

MOST_SEED = 2**32 - 1
KNOWN_BUT_UNUSED = {"model"}  # there is one model, whatever it is called


def _name(given: object) -> object:
    """A voice's name; clients may send an object that has it."""
    if isinstance(given, dict):
        return next((given[key] for key in ("id", "name", "voice_id") if isinstance(given.get(key), str)), given)
    return given


class Reference(BaseModel):
    """A recording to continue from: a file's bytes in base64, and all that is said in it."""

    model_config = ConfigDict(extra="forbid")
    audio: str
    text: str

    @property
    def data(self) -> bytes:
        try:
            return base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError):
            raise SayError("like.audio: not base64 of a sound file") from None


class Speech(BaseModel):
    """Any optional field may be null. Fields that are not here are named in the answer, or refused by `--strict`."""

    model_config = ConfigDict(extra="allow")

    input: str
    model: str | None = None
    voice: Annotated[
        str | None, BeforeValidator(_name), Field(description="a name, or an object with `id` or `name`")
    ] = None
    instructions: str | None = Field(None, description="the tone, added to the description of voice, style and rate")
    response_format: Format | None = Field(None, description="mp3 by default")
    stream_format: Literal["audio", "sse"] | None = None
    stream: bool | None = Field(None, description="false: a whole file, its length known and its parts checked first")
    speed: float | None = Field(None, ge=0.25, le=4.0, description="chooses the rate where none is given")
    style: str | None = None
    rate: str | None = None
    description: str | None = Field(None, description="a whole description, in place of voice, style, rate and tone")
    seed: int | None = Field(None, ge=0, le=MOST_SEED)
    like: Reference | None = Field(None, description="speech to continue from; only with `serve --allow-like`")

    @field_validator("instructions", "description", "style", "rate", mode="after")
    @classmethod
    def _none_for_nothing(cls, given: str | None) -> str | None:
        return given if given and given.strip() else None

    @property
    def kind(self) -> Format:
        kind = self.response_format or "mp3"
        if not can_encode(kind):
            raise SayError(NO_AAC)
        return kind

    @property
    def streamed(self) -> bool:
        return self.stream is not False or self.stream_format == "sse"

    @property
    def ignored(self) -> list[str]:
        return sorted(self.model_extra or {})

    def request(self, found: Found, like: KeptVoice | None, styles: Sequence[str], plain: str) -> Request:
        """`found` is the voice; `like` replaces what it continues from."""
        style = self.style or style_in(self.instructions or "", styles) or plain
        rate = self.rate or label_of_speed(self.speed or 1.0)
        return Request(
            self.input, found.speaker, style, rate, self.description, self.instructions, self.seed, like or found.like
        )


def style_in(instructions: str, styles: Sequence[str]) -> str | None:
    """The one style of the checkpoint that a tone names: "speak happily" is `happy`; None of none or several."""
    said = decodable(instructions).lower()
    found = [style for style in styles if re.search(rf"(?<!not )(?<!never )\b{_stem(style)}", said)]
    return found[0] if len(found) == 1 else None


def _stem(style: str) -> str:
    return re.escape(style.lower().removesuffix("y").removesuffix("ing").removesuffix("ed"))
