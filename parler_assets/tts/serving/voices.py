"""The voices that a server answers to: the checkpoint's speakers, kept voices, and the names that clients bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parler_assets.tts.serving.kept_voices import KeptVoice, KeptVoiceError, KeptVoices
from parler_assets.tts.serving.text import SayError

OPENAI = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
SHOWN = 40  # names that a message lists


@dataclass(frozen=True)
class Found:
    """A speaker, a kept voice if it was one, and what has to be said about the choice."""

    speaker: str
    like: KeptVoice | None = None
    remark: str | None = None


class Voices:
    """Finds a voice by any of its names, whatever their case."""

    def __init__(self, speakers: list[str], table: Mapping[str, str], kept: KeptVoices) -> None:
        """`table` is the recipe's: names that clients ask for, and the voice for each."""
        self.speakers, self.kept = speakers, kept
        self._table = {name.lower(): voice for name, voice in table.items()}
        self._speakers = {name.lower(): name for name in speakers}

    @property
    def names(self) -> list[str]:
        return [*self.speakers, *self.kept.names]

    def find(self, asked: str | None) -> Found:
        """The voice of this name, the first speaker for none.

        Raises:
            SayError: nobody has this name, or the kept voice cannot be used.
        """
        if asked is None or not asked.strip():
            return Found(self.speakers[0])
        name = self._table.get(asked.strip().lower(), asked.strip())
        if speaker := self._speakers.get(name.lower()):
            return Found(speaker)
        try:
            if like := self.kept.find(name):
                return Found(like.speaker or self.speakers[0], like)
        except KeptVoiceError as error:
            raise SayError(str(error)) from None
        if name.lower() in OPENAI:
            return Found(
                self.speakers[0], remark=f"voice {name} is not in the recipe's table: {self.speakers[0]} speaks"
            )
        raise SayError(f"unknown voice {asked[:80]!r}: this checkpoint has {', '.join(self.names[:SHOWN])}")
