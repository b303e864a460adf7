"""Speech from espeak-ng through its pip wheel, the same samples for the same request, always.

The engine keeps state from one sentence to the next (even across its own re-initialisation), so that a sentence would
sound a little different after another one. Hence every sentence is spoken by a fork of one untouched engine, in a
process of its own: `python -m parler_assets.sample.espeak` reads requests as JSON lines and writes 16-bit samples.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

RATE = 22050  # Hz
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7  # espeak_PARAMETER
_SYNCHRONOUS, _UTF8, _SSML = 2, 1, 0x10  # output mode of espeak_Initialize; flags of espeak_Synth


class EspeakError(RuntimeError):
    """espeak-ng could not speak; the message says why."""


@dataclass(frozen=True)
class Request:
    """One sentence and how to say it. `text` may carry SSML; numbers are espeak-ng's own parameters."""

    text: str
    voice: str = "en-us"
    words_per_minute: int = 170
    pitch: int = 50
    pitch_range: int = 50
    word_gap: int = 0


def speak(requests: Sequence[Request]) -> list[np.ndarray]:
    """Samples (N,) float32 at 22050 Hz of every request, in order.

    Raises:
        EspeakError: the engine is not installed or refused a voice.
    """
    lines = "".join(json.dumps(asdict(request)) + "\n" for request in requests)
    command = [sys.executable, "-P", "-m", "parler_assets.sample.espeak"]
    done = subprocess.run(command, input=lines.encode(), capture_output=True, check=False)
    if done.returncode:
        raise EspeakError(f"espeak-ng: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return _unpack(done.stdout, len(requests))


def _unpack(data: bytes, count: int) -> list[np.ndarray]:
    sounds, place = [], 0
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, place)
        sounds.append(np.frombuffer(data, "<i2", size, place + 4).astype(np.float32) / 32768)
        place += 4 + 2 * size
    return sounds


def _serve() -> None:
    engine, chunks = _start()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _say(engine, chunks, Request(**json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"cannot say {line.strip()}")


def _start():
    """The engine, and the list that its callback fills with 16-bit samples."""
    try:
        import espeakng_loader
    except ImportError:
        raise SystemExit("the pip wheel espeakng-loader is not installed: install the extra `sample`") from None
    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    if engine.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0) != RATE:
        raise SystemExit("its voices cannot be read")
    chunks: list[bytes] = []

    def collect(samples, count, _events) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(collect)
    engine.espeak_SetSynthCallback(callback)
    vars(engine)["kept"] = callback  # the engine calls it for as long as it lives
    return engine, chunks


def _say(engine, chunks: list[bytes], request: Request) -> None:
    engine.espeak_ng_SetRandSeed(ctypes.c_long(1))
    if engine.espeak_SetVoiceByName(request.voice.encode()):
        sys.stderr.write(f"no voice {request.voice!r}; ")
        os._exit(1)
    settings = {
        _RATE: request.words_per_minute,
        _VOLUME: 60,
        _PITCH: request.pitch,
        _RANGE: request.pitch_range,
        _WORD_GAP: request.word_gap,
    }
    for parameter, value in settings.items():
        engine.espeak_SetParameter(parameter, value, 0)
    text = request.text.encode() + b"\0"
    engine.espeak_Synth(text, len(text), 0, 0, 0, _UTF8 | _SSML, None, None)
    engine.espeak_Synchronize()
    data = b"".join(chunks)
    sys.stdout.buffer.write(struct.pack("<I", len(data) // 2) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
