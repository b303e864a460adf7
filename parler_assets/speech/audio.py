"""Audio bytes to samples and back: decode, downmix and resample once per clip."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from parler_assets.intake import Refusal
from parler_assets.intake.sounds import SAMPLES, SECONDS, read_sound, sound_seconds

SHORTEST = 0.06  # seconds; below this no pitch tracker or codec has a frame to work on
SILENCE = 1e-4  # samples that never move further than this are digital silence
MISCOUNTED = 64  # bytes: recorders that count their header, and a part before it, in the size of the samples
STREAMED = 0x7FFFF000  # what is written to a pipe states such a length or more: nobody knew it then


class AudioError(ValueError):
    """Bytes that are not usable audio; the message is the reason shown for the clip that is set aside."""


@dataclass(frozen=True)
class Clip:
    """Mono samples (N,), float32 in [-1, 1], at `rate` Hz."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def silent(self) -> bool:
        return bool(np.ptp(self.samples) < 2 * SILENCE)

    def at(self, rate: int) -> Clip:
        """The same clip at another sampling rate."""
        return Clip(resample(self.samples, self.rate, rate), rate)


def decode(data: bytes, seconds: float = SECONDS, samples: int = SAMPLES) -> Clip:
    """Decode a file's bytes to mono, channels averaged; at most so many seconds, and samples over all channels.

    Raises:
        AudioError: not audio, truncated, empty, beyond a limit of `intake.sounds`, or with samples that are not finite.
    """
    _refuse_cut_wav(data)
    try:
        mono, rate = read_sound(data, seconds, samples)
    except Refusal as error:
        raise AudioError(error.problem) from None
    if mono.size == 0:
        raise AudioError("has no samples")
    if not np.isfinite(mono).all():
        raise AudioError("has samples that are not finite numbers")
    return Clip(np.ascontiguousarray(mono), rate)


def stated_seconds(data: bytes) -> float | None:
    """The length that a file's header states, without decoding; None where it cannot be told."""
    try:
        return sound_seconds(io.BytesIO(data))
    except Refusal:
        return None


def _refuse_cut_wav(data: bytes) -> None:
    """libsndfile takes a WAV file that ends too early for a shorter one; its transcript would then be read too fast."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        there = len(data) - position - 8
        if data[position : position + 4] == b"data":
            if there + MISCOUNTED < size < STREAMED:
                raise AudioError(f"is truncated: {there} of {size} bytes of samples are there")
            return
        position += 8 + size + size % 2


def encode(samples: np.ndarray, rate: int, format: str = "FLAC") -> bytes:
    """Encode mono samples (N,) as 16-bit FLAC or WAV (or as OGG, MP3); values outside [-1, 1] are clipped."""
    buffer = io.BytesIO()
    subtype = "PCM_16" if format in ("FLAC", "WAV") else None
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), rate, format=format, subtype=subtype)
    return buffer.getvalue()


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Resample mono samples (N,) from `source` to `target` Hz with soxr's high quality filter."""
    if source == target:
        return samples
    return soxr.resample(samples, source, target, quality="HQ").astype(np.float32, copy=False)
