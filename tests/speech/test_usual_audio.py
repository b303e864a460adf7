"""Sound files as recorders and programs write them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from parler_assets.speech.audio import AudioError, decode

RATE = 16000
TONE = (0.3 * np.sin(np.arange(RATE) * 0.1)).astype(np.float32)


def written(samples: np.ndarray, format: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=format, subtype=subtype)
    return buffer.getvalue()


def claiming(size: int) -> bytes:
    """A second of sound whose header states so many bytes of samples."""
    data = bytearray(written(TONE))
    place = data.index(b"data") + 4
    data[place : place + 4] = size.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("more", [0, 2, 8, 16, 36, 44])
def test_recorders_that_count_their_header_are_fine(more: int):
    assert len(decode(claiming(2 * RATE + more)).samples) == RATE


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_streamed_files_are_fine(size: int):
    assert len(decode(claiming(size)).samples) == RATE


@pytest.mark.parametrize("missing", [200, 2000, 16000])
def test_files_that_are_really_cut_are_not(missing: int):
    with pytest.raises(AudioError, match="truncated"):
        decode(written(TONE)[:-missing])


CHANNELS = {
    "antiphase": np.stack([TONE, -TONE], 1),
    "almost antiphase": np.stack([TONE, -0.98 * TONE], 1),
    "one silent": np.stack([TONE, 0 * TONE], 1),
    "the same": np.stack([TONE, TONE], 1),
    "six": np.stack([TONE, TONE, TONE, 0 * TONE, TONE, TONE], 1),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_no_channel_silences_another(case: str):
    clip = decode(written(CHANNELS[case]))
    assert np.std(clip.samples) > 0.4 * np.std(TONE)


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", "ALAW"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"),
     ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_24"),
     ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("WAVEX", "PCM_16")],
)  # fmt: skip
def test_usual_formats(format: str, subtype: str | None):
    clip = decode(written(TONE, format, subtype))
    assert 0.9 < clip.seconds < 1.2
    assert np.std(clip.samples) > 0.8 * np.std(TONE)


def test_peaks_above_one_stay_speech():
    assert np.abs(decode(written(5 * TONE, "WAV", "FLOAT")).samples).max() > 1
