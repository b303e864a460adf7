"""Requests that somebody sends to do harm: each is refused as the client's own fault; those beside it are spoken."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from parler_assets.recipe import load_recipe
from parler_assets.speech.audio import encode
from parler_assets.tts.serving.synthesizer import load_synthesizer
from tests.intake.test_sounds import flac, wav
from tests.support.tiny_checkpoint import write_tiny_checkpoint
from tests.tts.test_serve import SETTINGS, running

GOOD = {"input": "Hello there.", "voice": "Jerry", "response_format": "wav", "stream": False}
SECOND = encode(0.1 * np.sin(np.arange(16000) * 0.1).astype(np.float32), 16000)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")
    settings = SETTINGS.model_copy(update={"max_seconds": 4.0})
    with running(load_synthesizer(folder, settings, load_recipe("sample").describing), like=True) as url:
        yield url


def like(data: bytes, text: object = "why not?") -> dict:
    return GOOD | {"like": {"audio": base64.b64encode(data).decode(), "text": text}}


RECORDINGS = {
    "FLAC of 2^35 frames": flac(2**35),
    "FLAC of 1.5e9 frames": flac(1_500_000_000),
    "FLAC that does not say": flac(0),
    "WAV at 1 Hz": wav(rate=1, size=2000),
    "WAV at 0 Hz": wav(rate=0, size=2000),
    "WAV at 2^31 Hz": wav(rate=2**31 - 1, size=2000),
    "WAV of 1000 channels": wav(channels=1000, size=20_000),
    "WAV of no channel": wav(channels=0, size=2000),
    "WAV that says more than it has": wav(size=(1 << 32) - 100)[:40_000],
    "a minute": encode(np.zeros(16000 * 40, np.float32), 16000),
    "silence": encode(np.zeros(16000, np.float32), 16000),
    "three samples": encode(np.ones(3, np.float32), 16000),
    "nothing": b"",
    "zero bytes": b"\0" * 100_000,
    "text": b"not a sound",
    "pickle": b"\x80\x04\x95\x1f\x00\x00",
    "a header alone": SECOND[:44],
    "an ID3 tag without end": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + b"\0" * 1000,
    "Ogg pages of nothing": b"OggS" + b"\0" * 1000,
    "an AIFF without sound": b"FORM\xff\xff\xff\xffAIFFCOMM\xff\xff\xff\xff",
}
BODIES: dict[str, bytes | dict] = {name: like(data) for name, data in RECORDINGS.items()} | {
    "no base64": GOOD | {"like": {"audio": "!", "text": "a"}},
    "a recording that is a number": GOOD | {"like": {"audio": 7, "text": "a"}},
    "a recording of another shape": GOOD | {"like": [1]},
    "a recording with more": GOOD | {"like": {"audio": "", "text": "a", "path": "/etc/passwd"}},
    "a text that is a list": like(SECOND, ["a"]),
    "many words": like(SECOND, "word " * 10_000),
    "deep": b'{"input": ' + b"[" * 100_000,
    "deep objects": b'{"a": ' * 100_000,
    "deep in a field": b'{"input": "Hi.", "like": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "digits": b'{"input": "Hi.", "seed": ' + b"9" * 50_000 + b"}",
    "a seed beyond": GOOD | {"seed": 2**64},
    "speed without end": b'{"input": "Hi.", "speed": 1e999}',
    "speed that is no number": b'{"input": "Hi.", "speed": NaN}',
    "no JSON": b"{",
    "nothing sent": b"",
    "a list": b"[]",
    "null": b"null",
    "NUL before it": b"\0" + json.dumps(GOOD).encode(),
    "no UTF-8": b'{"input": "\xff\xfe"}',
    "no text": GOOD | {"input": ""},
    "a text of NUL": GOOD | {"input": "\0\0"},
    "a text of half characters": GOOD | {"input": "\ud800\udfff"},
    "a text without end": GOOD | {"input": "a" * 1_000_000},
    "pauses without end": GOOD | {"input": "<break time='9s'/>Hi" * 100},
    "a format unknown": GOOD | {"response_format": "exe"},
    "a voice of another shape": GOOD | {"voice": [[]]},
}
FIELDS = ("input", "voice", "instructions", "style", "rate", "description", "model", "response_format", "like", "other")
ODD = ("a\0b c", "\udfff")


def post(address: str, body: bytes | dict) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{address}/v1/audio/speech", content=sent, headers={"content-type": "application/json"},
                      timeout=60)  # fmt: skip


def test_hostile_requests_are_refused_and_good_ones_beside_them_are_spoken(address):
    with ThreadPoolExecutor(6) as pool:
        refused = {name: pool.submit(post, address, body) for name, body in BODIES.items()}
        good = [pool.submit(post, address, GOOD) for _ in range(3)]
        odd = {name: answer for name, done in refused.items() if not 400 <= (answer := done.result()).status_code < 500}
        assert {name: (answer.status_code, answer.text[:200]) for name, answer in odd.items()} == {}
        assert {done.result().status_code for done in good} == {200}
    for done in refused.values():
        assert "Traceback" not in done.result().text
        assert len(done.result().content) < 3000


def test_odd_characters_in_any_field_end_no_request_beside_them(address):
    def body(field: str, text: str) -> dict:
        return like(SECOND, f"why not {text}") if field == "like" else GOOD | {"input": "Hi.", field: f"Hi {text}"}

    with ThreadPoolExecutor(6) as pool:
        answers = {(f, t): pool.submit(post, address, body(f, t)) for f in FIELDS for t in ODD}
        good = [pool.submit(post, address, GOOD) for _ in range(3)]
        assert {asked for asked, done in answers.items() if done.result().status_code not in (200, 400, 422)} == set()
        assert {done.result().status_code for done in good} == {200}
