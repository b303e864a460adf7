"""Encoded audio while it is still being made: bytes of every format for every piece of samples."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile
import soxr

from parler_assets.tts.serving.formats import rate_of

_UNKNOWN = 0xFFFFFFFF  # the length of a wav file that is still growing
_CONSTANT = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}  # so that players know the length of a stream
_FILES = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", None), "opus": ("OGG", "OPUS")}


class Encoder:
    """Turns pieces of mono samples at `rate` into bytes that can be sent at once, at the rate of their format.

    wav says that its length is unknown, as streams do, unless `length` is how many samples will come; flac and mp3 are
    encoded by libsndfile, whose corrections of what was sent already (a frame count in the header) are left out.
    """

    def __init__(self, kind: str, rate: int, length: int | None = None) -> None:
        self.kind, self.rate = kind, rate_of(kind, rate)
        self._resample = soxr.ResampleStream(rate, self.rate, 1, "float32") if rate != self.rate else None
        self._begun = False
        self._length = length
        self._file = _Growing()
        if kind in _FILES:
            format, subtype = _FILES[kind]
            options = _CONSTANT if kind == "mp3" else {}
            self._writer = soundfile.SoundFile(self._file, "w", self.rate, 1, subtype, None, format, **options)
        elif kind == "aac":
            self._aac = _Aac(self._file, self.rate)

    def encode(self, samples: np.ndarray) -> bytes:
        """Bytes of these samples (N,) float32, as far as they are ready."""
        return self._encoded(self._resample.resample_chunk(samples) if self._resample else samples)

    def finish(self) -> bytes:
        """What is left."""
        nothing = np.zeros(0, np.float32)
        rest = self._encoded(self._resample.resample_chunk(nothing, last=True) if self._resample else nothing)
        if self.kind in _FILES:
            self._writer.close()
        elif self.kind == "aac":
            self._aac.close()
        return rest + self._file.taken()

    def _encoded(self, samples: np.ndarray) -> bytes:
        whole = np.clip(samples, -1, 1)
        if self.kind in _FILES:
            self._writer.write(whole)
            return self._file.taken()
        if self.kind == "aac":
            self._aac.write(whole)
            return self._file.taken()
        start = b"" if self._begun or self.kind == "pcm" else _wav_header(self.rate, self._length)
        self._begun = True
        return start + np.rint(whole * 32767).astype("<i2").tobytes()


def encode_whole(kind: str, samples: np.ndarray, rate: int) -> bytes:
    """A whole file; unlike a stream, it says how long it is."""
    if kind in ("flac", "mp3", "opus"):
        format, subtype = _FILES[kind]
        buffer, own = io.BytesIO(), rate_of(kind, rate)
        sound = samples if own == rate else soxr.resample(samples, rate, own)
        soundfile.write(buffer, np.clip(sound, -1, 1), own, format=format, subtype=subtype)
        return buffer.getvalue()
    encoder = Encoder(kind, rate, len(samples))
    return encoder.encode(samples) + encoder.finish()


def _wav_header(rate: int, length: int | None = None) -> bytes:
    whole, data = (_UNKNOWN, _UNKNOWN) if length is None else (36 + 2 * length, 2 * length)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + form + struct.pack("<4sI", b"data", data)


class _Aac:
    """AAC in ADTS frames, which can be joined into at any of them."""

    def __init__(self, file: _Growing, rate: int) -> None:
        import av

        self._frame = av.AudioFrame.from_ndarray
        self._container = av.open(file, "w", format="adts")
        self._stream = self._container.add_stream("aac", rate=rate, layout="mono")
        self._rate, self._at = rate, 0

    def write(self, samples: np.ndarray) -> None:
        if not len(samples):
            return
        frame = self._frame(np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += len(samples)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


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
