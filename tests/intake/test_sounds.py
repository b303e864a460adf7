"""Sound files whose headers promise more than anybody has, and good ones."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from parler_assets.intake import sounds
from parler_assets.intake.sounds import read_sound, sound_seconds
from tests.support.bounded import refusal


def file(samples: np.ndarray, rate: int = 16000, format: str = "WAV", **more: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, **more)
    return buffer.getvalue()


def flac(frames: int) -> bytes:
    """A second of FLAC whose header claims so many frames (36 bits)."""
    data = bytearray(file(np.zeros(16000), format="FLAC"))
    data[21] = data[21] & 0xF0 | frames >> 32
    data[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def wav(channels: int = 1, rate: int = 16000, bits: int = 16, size: int = 0) -> bytes:
    """A header with samples that are all there, or said to be."""
    body = b"\0" * min(size, 1 << 20)
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", size)
        + body
    )


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "FLAC of 2^35 frames": (lambda: flac(2**35), "at most"),
    "FLAC of 1.5e9 frames": (lambda: flac(1_500_000_000), "at most"),
    "FLAC of an hour and a bit": (lambda: flac(16000 * 3700), "at most 3,600 s"),
    "FLAC that does not say": (lambda: flac(0), ""),
    "long FLAC": (lambda: file(np.zeros(4_000 * 3700, np.int16), 4000, "FLAC"), "at most 3,600 s"),
    "WAV at 1 Hz": (lambda: wav(rate=1, size=2000), "1 Hz"),
    "WAV at 0 Hz": (lambda: wav(rate=0, size=2000), ""),
    "WAV at 2^31 Hz": (lambda: wav(rate=2**31 - 1, size=2000), "Hz"),
    "WAV of 1000 channels": (lambda: wav(channels=1000, size=20_000), "channels"),
    "WAV of no channel": (lambda: wav(channels=0, size=2000), ""),
    "text": (lambda: b"not a sound", "cannot be decoded"),
    "nothing": (lambda: b"", "cannot be decoded"),
    "pickle": (lambda: b"\x80\x04\x95\x1f\x00\x00", "cannot be decoded"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_sounds_are_refused_before_or_while_decoding(case: str):
    make, problem = HOSTILE[case]
    said = refusal(read_sound, make())
    assert problem in said
    assert "0x" not in said


def test_lengths_of_hostile_sounds_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "flac").write_bytes(flac(2**35))
    for path in (tmp_path / "pipe", tmp_path / "flac", Path("/dev/zero"), tmp_path):
        refusal(sound_seconds, path)


def test_memory_that_does_not_suffice_is_a_refusal():
    """Within the limits, but beyond what the process may have."""
    assert "more memory" in refusal(read_sound, flac(1_500_000_000), 10**9, 1 << 60)


def test_what_a_header_hides_is_counted_while_decoding(monkeypatch: pytest.MonkeyPatch):
    """As if no header ever said how long it goes on."""
    monkeypatch.setattr(sounds, "UNKNOWN", 0)
    assert "goes on for" in refusal(read_sound, file(np.zeros(16000 * 200), format="FLAC"), 60)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_a_small_file_of_much_silence_is_refused_where_little_is_asked_for(channels: int):
    """A body of 100 KB that would be decoded to hundreds of MB: what a request may bring is stated by its reader."""
    data = file(np.zeros((96_000 * 20, channels), np.int16), 96_000, "FLAC")
    assert len(data) < 200_000
    said = refusal(read_sound, data, 30, 96_000 * 20 * channels - 1)
    assert "states 20 s" in said
    refusal(read_sound, data, 10)
    read_sound(data, 30, 96_000 * 20 * channels)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_good_sounds_are_read_as_soundfile_reads_them(format: str, channels: int, tmp_path: Path):
    time = np.arange(300_000) / 48000
    samples = np.stack([np.sin(2 * np.pi * 200 * (k + 1) * time) / 2 for k in range(channels)], axis=1)
    data = file(samples, 48000, format)
    expected, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    found, found_rate = read_sound(data)
    assert (found_rate, found.dtype, found.ndim) == (rate, np.float32, 1)
    np.testing.assert_array_equal(found, expected.mean(axis=1) if channels > 1 else expected[:, 0])
    (tmp_path / "sound").write_bytes(data)
    assert sound_seconds(tmp_path / "sound") == pytest.approx(len(expected) / rate)
