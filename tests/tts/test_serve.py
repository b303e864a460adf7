"""Speech on demand, asked for by OpenAI's own client: formats, voices, bad input, bursts, a client that leaves."""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
import types
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from parler_assets.recipe import Describing, Evaluation
from parler_assets.speech.audio import decode
from parler_assets.tts.data.texts import TextLengths, sentences_of
from parler_assets.tts.serving.app import Serving, speech_app
from parler_assets.tts.serving.chunks import CHUNK, chunks, opened
from parler_assets.tts.serving.plan import Request
from parler_assets.tts.serving.remarks import ended_early
from parler_assets.tts.serving.synthesizer import Synthesizer, load_synthesizer
from parler_assets.tts.serving.text import SayError, clean, decodable
from parler_assets.tts.synthesis.rates import RATES
from parler_assets.tts.synthesis.voice import BrokenCheckpoint, Utterance
from parler_assets.web.guard import policy_for
from tests.support.tiny_checkpoint import write_tiny_checkpoint

SETTINGS = Evaluation(speakers=["Jerry", "Talia"], styles=["default", "happy"], batch_size=8)


PER_CHARACTER = 1200  # samples: 13 characters a second


class Tone:
    """A voice of one tone, as long as its text."""

    rate = 16000

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.heard, self.sizes = pause, [], []

    def speak(self, texts, descriptions, settings, seed):
        time.sleep(self.pause)
        self.sizes.append(len(texts))
        self.heard += list(zip(texts, descriptions, strict=True))
        if any("crash" in text for text in texts):
            raise RuntimeError("the model failed")
        time_axis = [np.arange(len(text) * PER_CHARACTER) / self.rate for text in texts]
        return [Utterance(np.sin(2500 * t).astype(np.float32) * 0.3, self.rate, 0.1, True) for t in time_axis]

    def unknown(self, letters):
        return {letter for letter in letters if "LATIN" not in unicodedata.name(letter, "")}


@pytest.fixture(autouse=True)
def describing(monkeypatch):
    module = types.ModuleType("parler_assets.speech.descriptions")
    module.describe_attributes = lambda asked, settings=None: "{name}, {style}, {speaking_rate}".format(**asked)
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def tone():
    return Tone(pause=0.02)


@contextmanager
def running(synthesizer: Synthesizer, **serving):
    """The address of a server that runs on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(speech_app(synthesizer, Serving(**serving)), host="127.0.0.1", port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def address(tone):
    with running(Synthesizer(tone, SETTINGS, Describing())) as url:
        yield url


@pytest.fixture
def client(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_files_of_each_format_hold_the_speech(client, kind):
    asked = {"model": "parler", "voice": "Jerry", "input": "Hello there.", "response_format": kind}
    answer = client.audio.speech.create(**asked, extra_body={"stream": False})
    clip = decode(answer.read())
    assert clip.rate == 16000
    assert clip.seconds == pytest.approx(12 * PER_CHARACTER / 16000, abs=0.15)


def test_pcm_is_streamed_while_it_is_made(client):
    text = " ".join(["This sentence is long enough to be spoken on its own, more or less."] * 9)
    with client.audio.speech.with_streaming_response.create(
        model="parler", voice="Talia", input=text, response_format="pcm"
    ) as answer:
        pieces = list(answer.iter_bytes(4096))
    samples = np.frombuffer(b"".join(pieces), "<i2")
    assert len(samples) > PER_CHARACTER * len(text) * 0.95 * 24000 / 16000
    assert answer.headers.get("transfer-encoding") == "chunked"


@pytest.mark.parametrize(("kind", "header"), [("wav", 44), ("mp3", 0), ("flac", 86)])
def test_a_streamed_file_is_the_file_but_for_the_lengths_in_its_header(client, kind, header):
    asked = {"model": "m", "voice": "Talia", "input": "a few words, " * 15, "response_format": kind}
    whole = client.audio.speech.create(**asked, extra_body={"stream": False}).read()
    with client.audio.speech.with_streaming_response.create(**asked, extra_body={"stream": None}) as answer:
        assert answer.headers.get("transfer-encoding") == "chunked"
        streamed = b"".join(answer.iter_bytes())
    assert kind == "mp3" or len(streamed) == pytest.approx(len(whole), rel=0.02)
    if kind == "flac":
        assert streamed[header:] == whole[header:]
    if kind == "mp3":
        # without a count of frames, a decoder does not cut off the encoder's own delay: four frames of 36 ms
        assert decode(streamed).seconds == pytest.approx(decode(whole).seconds, abs=0.16)
    if kind == "wav":
        both = [np.frombuffer(data[header:], "<i2").astype(int) for data in (whole, streamed)]
        assert abs(both[0] - both[1]).max() <= 1


def test_events_carry_the_audio_in_pieces(address):
    body = {"model": "m", "voice": "Jerry", "input": "Hello there.", "response_format": "pcm", "stream_format": "sse"}
    answer = httpx.post(f"{address}/v1/audio/speech", json=body)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert events[-1] == {"type": "speech.audio.done"}
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(sound) == 2 * 12 * PER_CHARACTER * 24000 / 16000


@pytest.mark.parametrize(("speed", "rate"), [(1.0, RATES[3]), (0.25, RATES[0]), (1.25, RATES[5]), (4.0, RATES[6])])
def test_speed_chooses_the_rate(client, tone, speed, rate):
    client.audio.speech.create(model="m", voice="Talia", input="Hello.", speed=speed)
    assert tone.heard[-1][1] == f"Talia, default, {rate}"


def test_a_description_replaces_the_sentence(client, tone):
    client.audio.speech.create(model="m", voice="jerry", input="One.", extra_body={"description": "He mumbles."})
    client.audio.speech.create(model="m", voice="jerry", input="Two.", extra_body={"style": "happy"})
    assert tone.heard == [("One.", "He mumbles."), ("Two.", "Jerry, happy, moderate speed")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voice": "Bob"}, "Jerry, Talia"),
        ({"input": ""}, "nothing to say"),
        ({"input": "🙂 🙃"}, "nothing to say"),
        ({"input": "добрый день"}, "another script"),
        ({"input": "word " * 5000}, "split it"),
        ({"input": "<break time='99s'/> Hi."}, "at most 10"),
        ({"extra_body": {"style": "furious"}}, "default, happy"),
        ({"extra_body": {"rate": "breakneck"}}, "quite fast"),
        ({"input": "<p></p>"}, "nothing to say"),
        ({"input": "日本語のテキスト"}, "another script"),
        ({"input": "مرحبا بالعالم"}, "another script"),
        ({"response_format": "ape"}, "response_format"),
        ({"input": "a" * 3000}, "a word of 3000 characters"),
        ({"extra_body": {"description": "very " * 6000}}, "a description of 30000 characters"),
        ({"instructions": "🙂"}, "no word"),
    ],
)
def test_bad_requests_are_400_and_say_what_to_change(client, change, message):
    asked = {"model": "m", "voice": "Jerry", "input": "Hello."} | change
    with pytest.raises(openai.BadRequestError, match=message):
        client.audio.speech.create(**asked)


def test_what_is_no_request_is_answered_in_openais_form(address):
    broken = httpx.post(f"{address}/v1/audio/speech", content=b"{no json", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert "the body is not JSON" in broken.json()["error"]["message"]
    for answer, status in ((httpx.get(f"{address}/v1/audio/speech"), 405), (httpx.get(f"{address}/nowhere"), 404)):
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_emoji_and_markup_within_a_text_are_left_out(client, tone):
    client.audio.speech.create(model="m", voice="Jerry", input="<b>Hello</b> 🙂 &amp; goodbye.")
    assert tone.heard[-1][0] == "Hello and goodbye."


def test_a_burst_shares_batches_and_every_answer_is_its_own(client, tone):
    texts = ["a" * length for length in range(3, 23)]

    def seconds(text: str) -> float:
        answer = client.audio.speech.create(model="m", voice="Jerry", input=text, response_format="wav")
        return decode(answer.read()).seconds

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(seconds, texts))
    assert found == pytest.approx([len(text) * PER_CHARACTER / 16000 for text in texts])
    assert sum(tone.sizes) == 20
    assert max(tone.sizes) > 1
    assert max(tone.sizes) <= SETTINGS.batch_size


def test_a_failed_batch_does_not_end_the_server(client):
    with pytest.raises(openai.InternalServerError):
        client.audio.speech.create(model="m", voice="Jerry", input="crash")
    assert client.audio.speech.create(model="m", voice="Jerry", input="Hello.").read()


BAD = ["\ud800", "a \udfff b", "\x00", "a\ud83dword"]


@pytest.mark.parametrize("field", ["input", "instructions", "voice", "style", "rate"])
@pytest.mark.parametrize("bad", BAD)
def test_no_text_field_carries_what_no_tokenizer_reads(address, tone, field, bad):
    body = {"input": "Hello there.", "voice": "Jerry"} | {field: f"word {bad}" if field != "voice" else f"Jerry{bad}"}
    sent = json.dumps(body).encode()
    answer = httpx.post(f"{address}/v1/audio/speech", content=sent, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400), answer.text
    for text, description in tone.heard:
        assert (text + description).encode().decode().isprintable()


def test_one_request_that_the_model_fails_on_fails_alone(address, tone):
    tone.pause = 0.2
    texts = ["crash", *(f"word number {n}" for n in range(8))]

    def ask(text):
        return httpx.post(f"{address}/v1/audio/speech", json={"input": text, "voice": "Jerry"}, timeout=600).status_code

    with ThreadPoolExecutor(9) as pool:
        assert list(pool.map(ask, texts)) == [500] + [200] * 8


def test_a_short_request_does_not_wait_for_long_ones(address, tone):
    tone.pause = 0.8  # long beside what a loaded machine needs to take a request in
    long = " ".join([f"Sentence number {n}, {'x' * 110}." for n in range(20)])

    def ask(text):
        return httpx.post(f"{address}/v1/audio/speech", json={"input": text, "voice": "Jerry"}, timeout=600).status_code

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(ask, long) for _ in range(3)]
        assert wait_for(lambda: httpx.get(f"{address}/health").json()["waiting"] > 30)
        batches = len(tone.sizes)
        assert ask("Hello.") == 200
        asked = [text for text, _ in tone.heard].index("Hello.")
        assert asked < sum(tone.sizes[: batches + 4]), "among the first batches behind its arrival"
        assert {other.result() for other in others} == {200}


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
@pytest.mark.parametrize("path", ["/v1/audio/voices", "/health", "/v1/models", "/docs", "/openapi.json"])
def test_other_sites_read_nothing(address, headers, path):
    assert httpx.get(address + path, headers=headers).status_code == 403


def test_an_allowed_site_asks_as_browsers_do(tone):
    policy = policy_for(origins=["https://studio.example"])
    told = {"origin": "https://studio.example", "access-control-request-method": "POST"}
    with running(Synthesizer(tone, SETTINGS, Describing()), policy=policy) as url:
        allowed = httpx.options(
            f"{url}/v1/audio/speech", headers=told | {"access-control-request-headers": "content-type"}
        )
        answer = httpx.get(f"{url}/v1/audio/voices", headers={"origin": told["origin"], "sec-fetch-site": "cross-site"})
        foreign = httpx.options(f"{url}/v1/audio/speech", headers=told | {"origin": "https://evil.example"})
    assert (allowed.status_code, answer.status_code, foreign.status_code) == (200, 200, 403)
    assert answer.headers["access-control-allow-origin"] == "https://studio.example"


def test_a_body_larger_than_any_request_is_refused(address):
    sent = httpx.post(f"{address}/v1/audio/speech", json={"input": "x" * (2 << 20), "voice": "Jerry"})
    assert sent.status_code == 413


def test_a_client_that_leaves_costs_at_most_what_is_being_spoken(address, tone):
    tone.pause = 0.3
    text = " ".join([f"Sentence number {n}, {'x' * 110}." for n in range(30)])
    body = {"model": "m", "voice": "Jerry", "input": text, "response_format": "pcm"}
    with httpx.stream("POST", f"{address}/v1/audio/speech", json=body) as answer:
        assert answer.status_code == 200
        next(answer.iter_raw())
    assert wait_for(lambda: httpx.get(f"{address}/health").json()["waiting"] == 0)
    assert sum(tone.sizes) < 30


def test_a_client_that_leaves_before_its_file_is_made_frees_the_queue(address, tone):
    tone.pause = 0.4
    text = " ".join([f"Sentence number {n}, {'x' * 110}." for n in range(30)])
    body = {"model": "m", "voice": "Jerry", "input": text, "response_format": "wav", "stream": False}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/audio/speech", json=body, timeout=0.3)
    assert wait_for(lambda: httpx.get(f"{address}/health").json()["waiting"] == 0)
    assert sum(tone.sizes) < 30
    assert httpx.get(f"{address}/health").json()["chunks"]["abandoned"] > 0


def test_a_full_queue_refuses_whole_requests(address, client, tone):
    tone.pause = 0.5
    text = " ".join([f"Sentence number {n}, {'x' * 120}." for n in range(120)])

    def ask(_):
        try:
            return len(client.audio.speech.create(model="m", voice="Jerry", input=text, response_format="pcm").read())
        except openai.RateLimitError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert refused
    assert len(refused) < 6
    assert all("try again later" in answer for answer in refused)
    assert len({answer for answer in answers if not isinstance(answer, str)}) == 1


def test_sound_comes_before_the_speech_is_finished(address, tone):
    go_on = threading.Event()

    def stream(texts, *_):
        yield [np.full(1000, 0.1, np.float32) for _ in texts]
        go_on.wait(20)
        yield [np.full(500, 0.2, np.float32) for _ in texts]
        return [Utterance(np.full(1500, 0.1, np.float32), 16000, 0.1, True) for _ in texts]

    tone.stream = stream
    body = {"model": "m", "voice": "Jerry", "input": "Hello there.", "response_format": "pcm"}
    with httpx.stream("POST", f"{address}/v1/audio/speech", json=body) as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        assert not go_on.is_set()
        go_on.set()
        assert len(first + b"".join(pieces)) == 1500 * 2 * 24000 / 16000
    assert tone.sizes == [], "nothing was spoken as a whole"


def test_what_is_wrong_with_the_speech_is_said_in_a_header(client, tone, monkeypatch):
    cut = [Utterance(np.zeros(1600, np.float32), 16000, 0.1, False)]
    monkeypatch.setattr(tone, "speak", lambda *_: cut)
    answer = client.audio.speech.with_raw_response.create(
        model="m", voice="Jerry", input="Hello.", extra_body={"stream": False}
    )
    assert "silent" in answer.headers["x-parler-remarks"]


LONG = " ".join(f"{letter * 90}." for letter in "abcdef")
BRIEF = SETTINGS.model_copy(update={"max_seconds": 20, "batch_size": 3})


@pytest.mark.parametrize("stream", [False, True])
def test_parts_of_a_long_text_continue_from_its_first_as_say_lets_them(stream):
    told, served = Carrying(), Carrying()
    said = Synthesizer(told, BRIEF, Describing()).speak(Request(LONG, "Talia"))
    body = {"input": LONG, "voice": "Talia", "response_format": "pcm", "stream": stream}
    with running(Synthesizer(served, BRIEF, Describing())) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json=body)
    assert len(answer.content) == pytest.approx(2 * len(said.samples) * 24000 / 16000, abs=2)
    assert (served.sizes, served.after, served.seeds) == (told.sizes, told.after, told.seeds)
    assert served.heard == told.heard


def test_long_texts_of_two_clients_do_not_continue_from_each_other():
    tone = Carrying()
    texts = [" ".join(f"{letter * 90}." for letter in letters) for letters in ("abc", "xyz")]

    def ask(text):
        return httpx.post(f"{url}/v1/audio/speech", json={"input": text, "voice": "Jerry", "response_format": "pcm"})

    with running(Synthesizer(tone, BRIEF, Describing())) as url, ThreadPoolExecutor(2) as pool:
        sizes = [len(answer.content) for answer in pool.map(ask, texts)]
    assert sizes[0] == sizes[1]
    pairs = {after[0] + text[0] for text, after in tone.behind if after}
    assert pairs == {"ab", "ac", "xy", "xz"}


def broken(folder, change):
    """A tiny checkpoint whose weights were changed."""
    write_tiny_checkpoint(folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def silenced(weights):
    for name in weights:
        if name.startswith("audio_encoder.decoder.conv2"):
            weights[name].zero_()


def never_ending(weights):
    """The head's rows for the end id (32) far from every state that speaks."""
    for name in weights:
        if "lm_head" in name:
            rows = weights[name].view(4, -1, weights[name].shape[-1])
            rows[:, 32:] = 0
            rows[:, :32] *= 50


def huge(weights):
    """Finite weights that overflow on the way."""
    for name in weights:
        if "lm_head" in name:
            weights[name].fill_(3e38)


SHORT = SETTINGS.model_copy(update={"max_seconds": 0.5})


@pytest.mark.parametrize(("change", "remark"), [(silenced, "is silent"), (never_ending, "did not end by itself")])
def test_a_checkpoint_that_is_silent_or_never_stops_is_bounded_and_said(change, remark, tmp_path):
    synthesizer = load_synthesizer(broken(tmp_path / "checkpoint", change), SHORT, Describing())
    asked = {"input": "the lazy dog.", "voice": "Jerry", "response_format": "wav", "stream": False}
    with running(synthesizer) as url:
        whole = httpx.post(f"{url}/v1/audio/speech", json=asked, timeout=600)
        events = httpx.post(f"{url}/v1/audio/speech", json=asked | {"stream_format": "sse"}, timeout=600)
        counts = httpx.get(f"{url}/health").json()["chunks"]
    assert whole.status_code == 200
    assert remark in whole.headers["x-parler-remarks"]
    assert decode(whole.content).seconds <= 0.6
    last = json.loads(events.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["type"] == "speech.audio.done"
    assert remark in " ".join(last["remarks"])
    assert counts["silent" if change is silenced else "cut"] == 2


def test_a_checkpoint_that_computes_no_numbers_is_answered_with_500(tmp_path):
    synthesizer = load_synthesizer(broken(tmp_path / "checkpoint", huge), SHORT, Describing())
    asked = {"input": "the lazy dog.", "voice": "Jerry", "response_format": "wav", "stream": False}
    with running(synthesizer) as url:
        whole = httpx.post(f"{url}/v1/audio/speech", json=asked, timeout=600)
        events = httpx.post(f"{url}/v1/audio/speech", json=asked | {"stream_format": "sse"}, timeout=600)
        health = httpx.get(f"{url}/health").json()
    assert whole.status_code == 500
    assert "no numbers (NaN or infinite)" in whole.json()["error"]["message"]
    last = json.loads(events.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["type"] == "error"
    assert "no numbers" in last["error"]["message"]
    assert health["chunks"]["failed"] == 2


def test_weights_that_are_no_numbers_are_refused_on_loading(tmp_path):
    def diverged(weights):
        name = next(name for name in weights if "fc1" in name)
        weights[name][0, 0] = float("nan")

    with pytest.raises(BrokenCheckpoint, match=r"fc1.*its training diverged"):
        load_synthesizer(broken(tmp_path / "checkpoint", diverged), SHORT, Describing())


def wait_for(condition, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_voices_models_and_health(address, client):
    assert [voice["id"] for voice in httpx.get(f"{address}/v1/audio/voices").json()["voices"]] == ["Jerry", "Talia"]
    assert [model.id for model in client.models.list()] == ["parler"]
    assert httpx.get(f"{address}/health").json()["status"] == "ok"


# ------------------------------------------------------------------------------------------------------------------ say


@given(st.lists(st.text("abc ,.!", min_size=1, max_size=400), max_size=6).map(" ".join))
def test_chunks_lose_no_letter_and_keep_their_limit(text):
    pieces = chunks(text)
    assert all(len(piece) <= CHUNK for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<speak>Hello <b>there</b></speak>", "Hello there"),
        ("It's 5 o'clock 🙂!", "It's five o'clock!"),
        ("<p>you &amp; me &lt;3</p>", "you and me less than three"),  # a heart or a comparison: no number is left out
        ("naïve café\n\tad hoc", "naïve café ad hoc"),
        ("if a < b and c > d, stop.", "if a less than b and c greater than d, stop."),
        ("a<b and b>c", "a less than b and b greater than c"),
        ('<p class="big" id=x>One</p><br/>two<!-- not this -->', "One. two"),
        ("open the <door> now", "open the door now"),
        (
            "AT&T pays $3.50, $1, £2.00 or €1,000 (50 %)",
            "AT and T pays three dollars and fifty cents, one dollar, two pounds or one thousand euros (fifty percent)",
        ),
        (
            "$3 million at 20 °C, 5€ = 1+1 ± 2",
            "three million dollars at twenty degrees Celsius, five euros equals one plus one plus or minus two",
        ),
        ("Title\n=====\nText --- more", "Title. Text more"),
        ("hel\u200blo so\u00adft \ufefffi\u2060sh", "hello soft fish"),
        ("cafe\u0301 👩\u200d🚀 go", "café go"),
        ("# The title\n\nThe text.", "The title. The text."),
        ("## Who is it? ##\nMe.", "Who is it? Me."),
        ("Buy:\n- two eggs\n- milk, please!\n* bread", "Buy: two eggs. milk, please! bread."),
        ("A title\n\nand its text", "A title. and its text"),
        ("see [the words](https://a.b/c) and **bold** and *marked*", "see the words and bold and *marked*"),
        (f"Read https://example.org/{'x' * 300}?q=1, please.", "Read link, please."),
        ("| a | b |\n|---|---|\n| 1 | two |\n| 3 | |\n\nafter", "a, b. one, two. three. after"),
        ("```python\nprint('x')\n```\nand `code` here", "print('x'). and code here"),
        ("1. One\n2. Two\n   - nested\n\n> said\n\nlast", "one, One. two, Two. nested. said. last"),
        ("*She walks away slowly and smiles.* Hi, *really*!", "She walks away slowly and smiles. Hi, *really*!"),
        ("snake_case_name and 2**8", "snake_case_name and two**eight"),
        ("x² + 3½ = ½ m", "x squared plus three and a half equals one half m"),
        ("H<sub>2</sub>O, <sub alias='World Wide Web'>WWW</sub>", "H two O, World Wide Web"),
        ("<emphasis level='strong'>now</emphasis> <emphasis level='none'>or</emphasis> never", "*now* or never"),
        ("<script>alert(1)</script>x<style>p{}</style>", "x"),
        ("    no code\n        at all", "no code at all"),
        ("- [ ] to do\n- [x] done[^1]", "to do. done."),
        ("a\x08b \ud800c \ue000900\ue001d", "ab c 900 d"),
        (f"blob {'Zm9v' * 80} end", "blob end"),
    ],
)
def test_markup_and_emoji_are_not_read_out(text, plain):
    assert " ".join(clean(decodable(text)).replace("nine hundred", "900").split()) == plain


def test_say_joins_the_chunks_with_pauses():
    tone = Tone()
    text = f"{'a' * 100}. {'b' * 100}."
    spoken = Synthesizer(tone, SETTINGS, Describing()).speak(Request(text, "Talia"))
    assert len(spoken.samples) == 202 * PER_CHARACTER + int(0.18 * 16000), "a sentence is not cut to be continued from"
    assert spoken.remarks == ()
    assert tone.sizes == [1, 1]


class Carrying(Tone):
    """A tone with codes, that notes what each batch continues from."""

    def __init__(self, stops: bool = True) -> None:
        super().__init__()
        self.stops, self.after, self.behind, self.seeds = stops, [], [], []

    def speak(self, texts, descriptions, settings, seed, after=None):
        self.after.append(after and after.text)
        self.behind += [(text, self.after[-1]) for text in texts]
        self.seeds += seed
        said = super().speak(texts, descriptions, settings, seed)
        return [replace(one, ended=self.stops, codes=np.zeros((4, 9), np.int64)) for one in said]


@pytest.mark.parametrize("stops", [True, False])
def test_parts_of_a_long_text_continue_from_its_first(stops):
    tone = Carrying(stops)
    text = " ".join(f"{letter * 90}." for letter in "abcdef")
    settings = SETTINGS.model_copy(update={"max_seconds": 20, "batch_size": 3})
    Synthesizer(tone, settings, Describing()).speak(Request(text, "Talia"))
    first = f"{'a' * 90}."
    assert tone.sizes == [1, 3, 2]
    assert tone.after == [None, *[first if stops else None] * 2], "not from speech that was cut"
    assert [said for said, _ in tone.heard][1:3] == [f"{'b' * 90}.", f"{'c' * 90}."]


def test_a_part_that_fails_is_spoken_by_itself(monkeypatch):
    """The model ends at once behind what was said before: as one does that never heard two sentences in a clip."""
    tone = Carrying()
    speak = tone.speak

    def brief(texts, descriptions, settings, seed, after=None):
        said = speak(texts, descriptions, settings, seed, after)
        return [replace(one, samples=one.samples[:1600]) if after else one for one in said]

    monkeypatch.setattr(tone, "speak", brief)
    text = " ".join(f"{letter * 90}." for letter in "abc")
    settings = SETTINGS.model_copy(update={"max_seconds": 20})
    spoken = Synthesizer(tone, settings, Describing()).speak(Request(text, "Talia"))
    assert len(spoken.samples) == 3 * 91 * PER_CHARACTER + 2 * int(0.18 * 16000)
    assert tone.after == [None, f"{'a' * 90}.", None]


@given(st.lists(st.text("abc ,.!", min_size=1, max_size=90), min_size=2, max_size=6).map(" ".join))
def test_parts_and_the_first_fit_together_and_lose_no_letter(text):
    first, *others = opened(plain := " ".join(text.split()) or "a", 100) or [""]
    assert not first or "".join("".join([first, *others]).split()) == "".join(plain.split())
    assert all(len(first) + 1 + len(part) <= 100 for part in others)


def test_chunks_fit_the_seconds_the_recipe_allows():
    synthesizer = Synthesizer(Tone(), SETTINGS.model_copy(update={"max_seconds": 8}), Describing())
    assert synthesizer.longest("moderate speed") == 104
    assert synthesizer.longest("very slowly") < synthesizer.longest("very fast") < CHUNK
    pieces = synthesizer.plan(Request("word " * 100, "Jerry")).parts
    assert max(map(len, pieces)) <= 104


def test_say_says_what_was_cut_and_what_is_silent(monkeypatch):
    tone = Tone()
    loud = np.sin(np.arange(16000)).astype(np.float32)
    said = [Utterance(loud, 16000, 0.1, False), Utterance(np.zeros(8 * 16000, np.float32), 16000, 0.1, True)]
    monkeypatch.setattr(tone, "speak", lambda *_: [said.pop(0)])
    spoken = Synthesizer(tone, SETTINGS, Describing()).speak(Request(f"{'a' * 100}. {'b' * 100}.", "Talia"))
    assert spoken.remarks[0] == "part 1 of 2 did not end by itself and was cut at 1.0 s"
    assert "part 2 of 2 is silent" in spoken.remarks[1]


class OneSentence(Tone):
    """A tone that says the first sentence of a text and ends, as a checkpoint does that was trained on single ones."""

    def speak(self, texts, descriptions, settings, seed):
        return super().speak([sentences_of(text)[0] for text in texts], descriptions, settings, seed)


TWO = "The old boat walks behind the station. The red teacher sleeps above the window."


def seconds_of(text: str, parts: int) -> float:
    return len(text.replace(". ", ".")) * PER_CHARACTER / 16000 + 0.18 * (parts - 1)


def test_two_sentences_of_one_part_are_both_spoken():
    tone = OneSentence()
    spoken = Synthesizer(tone, SETTINGS, Describing()).speak(Request(TWO, "Talia"))
    assert spoken.duration == pytest.approx(seconds_of(TWO, 2), abs=0.01)
    assert spoken.remarks == ()
    assert tone.sizes == [1, 1, 2], "as a whole, with another seed, then one by one"


def test_parts_follow_what_the_checkpoint_was_trained_on():
    tone = OneSentence()
    synthesizer = Synthesizer(tone, SETTINGS, Describing(), TextLengths(characters=45, sentences=1))
    spoken = synthesizer.speak(Request(f"{TWO} {'word ' * 20}", "Talia"))
    assert tone.sizes == [1, 4], "nothing is spoken twice"
    assert all(len(text) <= 45 for text, _ in tone.heard)
    assert spoken.remarks == ()
    assert Synthesizer(tone, SETTINGS, Describing(), TextLengths(200, 2)).plan(Request(TWO, "Talia")).parts == [TWO]


def test_what_ends_early_is_spoken_again_with_another_seed():
    class Fickle(Tone):
        def speak(self, texts, descriptions, settings, seed):
            said = super().speak(texts, descriptions, settings, seed)
            return [
                replace(one, samples=one.samples[:3000]) if n < 10_000 else one
                for one, n in zip(said, seed, strict=True)
            ]

    tone = Fickle()
    spoken = Synthesizer(tone, SETTINGS, Describing()).speak(Request("One sentence and no other.", "Talia"))
    assert (tone.sizes, spoken.remarks) == ([1, 1], ())
    assert spoken.duration == pytest.approx(26 * PER_CHARACTER / 16000)


class Brief(Tone):
    """Says a tenth of everything, whatever is tried."""

    def speak(self, texts, descriptions, settings, seed):
        return super().speak([text[: max(3, len(text) // 10)] for text in texts], descriptions, settings, seed)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_stays_too_short_is_named(streamed):
    spoken = Synthesizer(Brief(), SETTINGS, Describing()).speak(Request(f"{'a' * 150}. {'b' * 150}.", "Talia"))
    assert [remark.split(" ended")[0] for remark in spoken.remarks] == ["part 1 of 2", "part 2 of 2"]
    assert "words are missing" in spoken.remarks[0]
    asked = {
        "model": "m",
        "input": f"“Zoë Ł” {'a' * 150}.",
        "voice": "Talia",
        "response_format": "wav",
        "stream": False,
    }
    with running(Synthesizer(Brief(), SETTINGS, Describing())) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json=asked | ({"stream_format": "sse"} if streamed else {}))
        counts = httpx.get(f"{url}/health").json()["chunks"]
    told = answer.text if streamed else answer.headers["x-parler-remarks"]
    assert "words are missing" in told
    assert counts["early"] == 1


def test_speech_that_was_given_out_already_is_named_and_not_repeated():
    tone = Tone()

    def stream(texts, *_):
        yield [np.full(3000, 0.1, np.float32) for _ in texts]
        return [Utterance(np.full(3000, 0.1, np.float32), 16000, 0.1, True) for _ in texts]

    tone.stream = stream
    one = "The old boat walks behind the station and the red teacher sleeps above it."
    asked = {"model": "m", "input": one, "voice": "Talia", "response_format": "pcm", "stream_format": "sse"}
    with running(Synthesizer(tone, SETTINGS, Describing())) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json=asked)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert sum(len(base64.b64decode(event["audio"])) for event in events[:-1]) == 2 * 3000 * 3 // 2
    assert "words are missing" in events[-1]["remarks"][0]
    assert tone.sizes == []


@pytest.mark.parametrize(
    ("rate", "characters_a_second", "early"),
    [
        ("moderate speed", 16, False),  # the sample's checkpoint
        ("moderate speed", 33, True),  # two sentences said as one
        ("very fast", 20, False),
        ("very fast", 40, True),
        ("very slowly", 16, False),  # not obeyed is not cut off
        (None, 20, False),  # a caller's own description
    ],
)
def test_how_fast_is_too_fast(rate, characters_a_second, early):
    sound = np.zeros(int(len(TWO) / characters_a_second * 16000), np.float32)
    assert ended_early(TWO, Utterance(sound, 16000, 0.1, True), rate) is early
    assert not ended_early(TWO, Utterance(sound, 16000, 0.1, False), rate), "what was cut did not end"


@pytest.mark.parametrize("text", ["...", "?!", "— “ ” —", "\u200b", "<br/>", "# "])
def test_punctuation_only_is_refused(text):
    with pytest.raises(SayError, match="nothing to say"):
        Synthesizer(Tone(), SETTINGS, Describing()).speak(Request(text, "Talia"))


def test_punctuation_between_sentences_is_no_part_of_its_own():
    tone = Tone()
    synthesizer = Synthesizer(tone, SETTINGS, Describing(), TextLengths(45, 1))
    synthesizer.speak(Request("... Wait for me! ... ?! Then go on. ***", "Talia"))
    assert all(any(map(str.isalpha, text)) for text, _ in tone.heard)


def test_say_refuses_before_it_generates():
    tone = Tone()
    with pytest.raises(SayError, match="unknown voice"):
        Synthesizer(tone, SETTINGS, Describing()).speak(Request("Hello.", "Bob"))
    assert tone.sizes == []
