"""Sound files: their headers against limits before anything is decoded, and counted again while decoding.

libsndfile reads wav, flac, mp3 and ogg from memory; torchcodec and FFmpeg are never needed.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from parler_assets.intake.files import SOUND, open_file
from parler_assets.intake.refusal import Refusal

CHANNELS = 32
RATES = (4_000, 384_000)  # Hz
SECONDS = 3_600
SAMPLES = 1 << 28  # over all channels
CANCELLED = 0.05  # of the power that unlike channels have when averaged: below it they are each other turned over
UNKNOWN = 1 << 62  # frames at or above it mean that the header does not say


def read_sound(data: bytes, seconds: float = SECONDS, samples: int = SAMPLES) -> tuple[np.ndarray, int]:
    """Mono samples (N,) float32, channels averaged (but see `_mono`), and their rate in Hz.

    Args:
        seconds, samples: at most so long, and so many over all channels.

    Raises:
        Refusal: no sound that libsndfile reads, one beyond a limit, or one that memory does not suffice for.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            _refuse_header(sound, seconds, samples)
            # In one read: between two, soundfile seeks, which MP3 does not do exactly.
            heard = sound.read(_most_frames(sound, seconds, samples) + 1, dtype="float32", always_2d=True)
            _refuse_length(len(heard), sound, seconds, samples, "goes on for")
            return _mono(heard), sound.samplerate
    except soundfile.LibsndfileError as error:  # its full text names the buffer's address: another one in every run
        raise Refusal(f"cannot be decoded: {error.error_string.strip()}") from None
    except MemoryError:
        raise Refusal("cannot be decoded: it needs more memory than there is") from None
    except Refusal:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise Refusal(f"cannot be decoded: {str(error).strip()}") from None


def _mono(samples: np.ndarray) -> np.ndarray:
    """Channels averaged; where they cancel each other (one of two is turned over), the loudest of them."""
    if samples.shape[1] == 1 or not len(samples):
        return samples[:, 0]
    mono = samples.mean(axis=1)
    powers = np.einsum("nc,nc->c", samples, samples, dtype=np.float64)  # without a second array of that size
    if np.einsum("n,n->", mono, mono, dtype=np.float64) < CANCELLED * powers.sum() / len(powers) ** 2:
        return np.ascontiguousarray(samples[:, int(powers.argmax())])
    return mono


def sound_seconds(path: Path | io.BytesIO) -> float | None:
    """The length that a file's header states; None where it states none.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: as `read_sound` does, or no regular file.
    """
    try:
        with open_file(path, SOUND) if isinstance(path, Path) else path as file, soundfile.SoundFile(file) as sound:
            _refuse_header(sound, SECONDS, SAMPLES)
            return sound.frames / sound.samplerate if sound.frames < UNKNOWN else None
    except soundfile.LibsndfileError as error:
        raise Refusal(
            f"cannot be decoded: {error.error_string.strip()}", path if isinstance(path, Path) else None
        ) from None


def _refuse_header(sound: soundfile.SoundFile, seconds: float, samples: int) -> None:
    if not 1 <= sound.channels <= CHANNELS:
        raise Refusal(f"has {sound.channels} channels, at most {CHANNELS} are read")
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise Refusal(f"has {sound.samplerate} Hz, between {RATES[0]} and {RATES[1]} Hz are read: resample it")
    if sound.frames < UNKNOWN:
        _refuse_length(sound.frames, sound, seconds, samples, "states")


def _refuse_length(frames: int, sound: soundfile.SoundFile, seconds: float, samples: int, says: str) -> None:
    if frames > _most_frames(sound, seconds, samples):
        length = f"{frames / sound.samplerate:,.0f} s in {sound.channels} channels at {sound.samplerate} Hz"
        raise Refusal(f"{says} {length}, at most {seconds:,.0f} s and {samples:,} samples are read: cut it into clips")


def _most_frames(sound: soundfile.SoundFile, seconds: float, samples: int) -> int:
    return min(int(seconds * sound.samplerate), samples // sound.channels)
