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
UNKNOWN = 1 << 62  # frames at or above it mean that the header does not say


def read_sound(data: bytes) -> tuple[np.ndarray, int]:
    """Mono samples (N,) float32, channels averaged, and their rate in Hz.

    Raises:
        Refusal: no sound that libsndfile reads, one beyond a limit, or one that memory does not suffice for.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            _refuse_header(sound)
            # In one read: between two, soundfile seeks, which MP3 does not do exactly.
            samples = sound.read(_most_frames(sound) + 1, dtype="float32", always_2d=True)
            _refuse_length(len(samples), sound, "goes on for")
            return samples.mean(axis=1) if sound.channels > 1 else samples[:, 0], sound.samplerate
    except soundfile.LibsndfileError as error:  # its full text names the buffer's address: another one in every run
        raise Refusal(f"cannot be decoded: {error.error_string.strip()}") from None
    except MemoryError:
        raise Refusal("cannot be decoded: it needs more memory than there is") from None
    except Refusal:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise Refusal(f"cannot be decoded: {str(error).strip()}") from None


def sound_seconds(path: Path) -> float:
    """The length that a file's header states.

    Raises:
        FileNotFoundError: there is no such file.
        Refusal: as `read_sound` does, or no regular file.
    """
    try:
        with open_file(path, SOUND) as file, soundfile.SoundFile(file) as sound:
            _refuse_header(sound)
            return sound.frames / sound.samplerate
    except soundfile.LibsndfileError as error:
        raise Refusal(f"cannot be decoded: {error.error_string.strip()}", path) from None


def _refuse_header(sound: soundfile.SoundFile) -> None:
    if not 1 <= sound.channels <= CHANNELS:
        raise Refusal(f"has {sound.channels} channels, at most {CHANNELS} are read")
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise Refusal(f"has {sound.samplerate} Hz, between {RATES[0]} and {RATES[1]} Hz are read: resample it")
    if sound.frames < UNKNOWN:
        _refuse_length(sound.frames, sound, "states")


def _refuse_length(frames: int, sound: soundfile.SoundFile, says: str) -> None:
    if frames > _most_frames(sound):
        length = f"{frames / sound.samplerate:,.0f} s in {sound.channels} channels at {sound.samplerate} Hz"
        raise Refusal(f"{says} {length}, at most {SECONDS:,} s and {SAMPLES:,} samples are read: cut it into clips")


def _most_frames(sound: soundfile.SoundFile) -> int:
    return min(SECONDS * sound.samplerate, SAMPLES // sound.channels)
