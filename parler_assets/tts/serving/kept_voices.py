"""A voice that is kept: the codes and the words of some speech, in `voices/NAME.safetensors`, to continue from.

A checkpoint speaks a description in another voice with every seed; what continues from the same speech has its voice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from parler_assets.intake import Refusal
from parler_assets.intake.weights import tensor_shapes
from parler_assets.speech.audio import AudioError, Clip, decode
from parler_assets.storage.files import replacing
from parler_assets.tts.serving.text import SayError, clean
from parler_assets.tts.synthesis.rates import PLAUSIBLE

if TYPE_CHECKING:
    from parler_assets.tts.synthesis.voice import VoicePrompt

NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}", re.ASCII)
MOST_FRAMES, LONGEST_TEXT = 4096, 1000
SHORTEST = 1.0  # seconds of a reference
DENSEST = 2 * 96_000  # samples a second over all channels: a small body of silence would fill the memory by more
WARNING = (
    "Continue only from your own voice, or from that of somebody who agreed to it: speech that sounds like a person "
    "says what that person never said."
)


class KeptVoiceError(ValueError):
    """A voice that cannot be kept or read; the message names it and the remedy."""


class Encodes(Protocol):
    """What `Voice` offers here."""

    rate: int

    @property
    def codebooks(self) -> int: ...

    @property
    def codebook_size(self) -> int: ...

    @property
    def codec_identity(self) -> str: ...

    def encode(self, samples: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class KeptVoice:
    """Speech to continue from, and the `speaker` that its description names, if it was the checkpoint's own."""

    prompt: VoicePrompt
    speaker: str | None = None


def from_recording(data: bytes, text: str, voice: Encodes, most: float) -> KeptVoice:
    """A reference recording of up to `most` seconds, and the words that are said in it.

    Raises:
        SayError: no sound, too short or long, silent, or with words that cannot be its own.
    """
    from parler_assets.tts.synthesis.voice import VoicePrompt

    try:
        clip = decode(data, most + 1, int(most + 1) * DENSEST)  # said to the tenth of a second below
    except AudioError as error:
        raise SayError(f"the reference recording {error}") from None
    said = clean(text)
    _check_reference(clip, said, most)
    return KeptVoice(VoicePrompt(said, voice.encode(clip.at(voice.rate).samples)))


def _check_reference(clip: Clip, said: str, most: float) -> None:
    if not SHORTEST <= clip.seconds <= most:
        raise SayError(f"a reference of {clip.seconds:.1f} s: give one of {SHORTEST:g} to {most:.1f} s")
    if clip.silent:
        raise SayError("the reference recording is silent")
    speed = len(said) / clip.seconds
    if not 2 <= speed <= PLAUSIBLE[1]:
        raise SayError(
            f"the reference has {len(said)} characters in {clip.seconds:.1f} s: give all that is said in it, as text"
        )


class KeptVoices:
    """The folder of kept voices, each read once and again where its file has changed."""

    def __init__(self, folder: Path | None, voice: Encodes) -> None:
        self.folder, self.voice = folder, voice
        self._read: dict[str, tuple[float, KeptVoice]] = {}

    @property
    def names(self) -> list[str]:
        files = self.folder.glob("*.safetensors") if self.folder else ()
        return sorted(file.stem for file in files if NAME.fullmatch(file.stem))

    def find(self, name: str) -> KeptVoice | None:
        """A kept voice of this name, None where there is none. Raises `KeptVoiceError` where it cannot be used."""
        if self.folder is None or not NAME.fullmatch(name):
            return None
        file = self.folder / f"{name}.safetensors"
        if not file.is_file():
            return None
        changed = file.stat().st_mtime
        if self._read.get(name, (None,))[0] != changed:
            self._read[name] = (changed, read_voice(file, self.voice))
        return self._read[name][1]


def keep_voice(folder: Path, name: str, kept: KeptVoice, voice: Encodes, taken: list[str]) -> Path:
    """Write a voice under a name that no speaker has; its file.

    Raises:
        KeptVoiceError: no usable name.
    """
    from safetensors.numpy import save

    check_name(name, taken)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"text": kept.prompt.text, "speaker": kept.speaker or "", "codec": voice.codec_identity}
    file = folder / f"{name}.safetensors"
    with replacing(file) as part:
        part.write_bytes(save({"codes": kept.prompt.codes.astype(np.uint16)}, record))
    return file


def check_name(name: str, taken: list[str]) -> None:
    if not NAME.fullmatch(name):
        raise KeptVoiceError(f"the name {name[:40]!r}: letters, digits, - and _ only, at most 64")
    if name.lower() in {one.lower() for one in taken}:
        raise KeptVoiceError(f"the name {name!r} is a speaker of this checkpoint: choose another")


def read_voice(file: Path, voice: Encodes) -> KeptVoice:
    """A kept voice.

    Raises:
        KeptVoiceError: no such file, not ours, or of another codec.
    """
    from safetensors import safe_open

    from parler_assets.tts.synthesis.voice import VoicePrompt

    try:
        shape = tensor_shapes(file).get("codes", ())
        if len(shape) != 2 or shape[0] != voice.codebooks or not 0 < shape[1] <= MOST_FRAMES:
            raise Refusal(f"codes of shape {shape}, and this checkpoint has {voice.codebooks} codebooks", file)
        with safe_open(file, "numpy") as opened:
            record, codes = opened.metadata() or {}, opened.get_tensor("codes").astype(np.int64)
    except FileNotFoundError:
        raise KeptVoiceError(f"{file}: there is no such file") from None
    except Refusal as error:
        raise KeptVoiceError(str(error)) from None
    text = record.get("text", "")
    if record.get("codec") != voice.codec_identity or not 0 <= codes.min() <= codes.max() < voice.codebook_size:
        raise KeptVoiceError(f"{file}: kept with another codec ({record.get('codec', 'unknown')}): keep it again")
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise KeptVoiceError(f"{file}: has no text of its speech: keep it again")
    return KeptVoice(VoicePrompt(text, codes), record.get("speaker") or None)
