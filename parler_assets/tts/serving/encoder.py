"""Encoded audio while it is still being made: bytes of wav, flac, mp3 or pcm for every piece of samples."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "pcm": "audio/pcm"}
_UNKNOWN = 0xFFFFFFFF  # the length of a wav file that is still growing


class Encoder:
    """Turns pieces of mono samples into bytes that can be sent at once.

    wav says that its length is unknown, as streams do; flac and mp3 are encoded by libsndfile, whose corrections of
    what was sent already (a frame count in the header) are left out.
    """

    def __init__(self, kind: str, rate: int) -> None:
        self.kind, self.rate = kind, rate
        self._begun = False
        if kind in ("flac", "mp3"):
            self._file = _Growing()
            subtype = "PCM_16" if kind == "flac" else None
            self._writer = soundfile.SoundFile(self._file, "w", rate, 1, format=kind.upper(), subtype=subtype)

    def encode(self, samples: np.ndarray) -> bytes:
        """Bytes of these samples (N,) float32, as far as they are ready."""
        whole = np.clip(samples, -1, 1)
        if self.kind in ("flac", "mp3"):
            self._writer.write(whole)
            return self._file.taken()
        start = b"" if self._begun or self.kind == "pcm" else _wav_header(self.rate)
        self._begun = True
        return start + np.rint(whole * 32767).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """What is left."""
        if self.kind not in ("flac", "mp3"):
            return b"" if self._begun or self.kind == "pcm" else _wav_header(self.rate)
        self._writer.close()
        return self._file.taken()


def _wav_header(rate: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", _UNKNOWN, b"WAVE") + form + struct.pack("<4sI", b"data", _UNKNOWN)


class _Growing(io.RawIOBase):
    """A file whose new bytes are taken away as they are appended; writes over taken bytes are forgotten."""

    def __init__(self) -> None:
        self._new, self._sent, self._at = bytearray(), 0, 0

    def taken(self) -> bytes:
        data = bytes(self._new)
        self._sent += len(data)
        self._new.clear()
        return data

    def write(self, data) -> int:
        size = len(data)
        kept = bytes(data)[max(0, self._sent - self._at) :]
        if kept:
            place = max(self._at, self._sent) - self._sent
            self._new[place : place + len(kept)] = kept
        self._at += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._sent + len(self._new)}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        return 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
