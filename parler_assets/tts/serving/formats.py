"""The formats that speech is sent in: their names, types and rates, and what a program has to have for them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, get_args

Format = Literal["wav", "flac", "mp3", "opus", "aac", "pcm"]
FORMATS: tuple[Format, ...] = get_args(Format)
TYPES = {
    "wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "opus": "audio/ogg; codecs=opus", "aac": "audio/aac",
}  # fmt: skip
PCM_RATE = 24_000  # what clients of OpenAI's take it to be
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
NO_AAC = "aac needs an encoder that is not installed: install the extra `aac`, or ask for mp3, opus, flac or wav"


def rate_of(kind: str, rate: int) -> int:
    """The rate that speech made at `rate` is sent at: the lowest that the format has and that loses nothing."""
    if kind == "pcm":
        return PCM_RATE
    allowed = {"opus": OPUS_RATES, "mp3": MP3_RATES, "aac": MP3_RATES}.get(kind)
    if allowed is None or rate in allowed:
        return rate
    return next((one for one in allowed if one > rate), allowed[-1])


def content_type(kind: str) -> str:
    """pcm has no header to say its rate in, so that its type says it."""
    return f"audio/pcm;rate={PCM_RATE};channels=1" if kind == "pcm" else TYPES[kind]


def can_encode(kind: str) -> bool:
    return kind != "aac" or find_spec("av") is not None
