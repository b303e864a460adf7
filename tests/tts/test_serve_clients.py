"""The server as its clients ask it: the request shapes of five programs, formats by decoding, keys, ids, limits.

One server answers all of these tests. The shapes of `openai`, SillyTavern and LibreChat were read in their public code
and are written again here; those of Open WebUI and Home Assistant follow what is known of them.
"""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import openai
import pytest
import soundfile

from parler_assets.recipe import load_recipe
from parler_assets.speech.audio import decode, encode
from parler_assets.tts.serving.kept_voices import KeptVoiceError, KeptVoices, check_name
from parler_assets.tts.serving.lexicon import Lexicon, LexiconError, read_lexicon
from parler_assets.tts.serving.plan import Request
from parler_assets.tts.serving.synthesizer import load_synthesizer
from parler_assets.tts.serving.text import SayError, script_of
from parler_assets.web.access import KeyRefused, checked_key
from tests.support.tiny_checkpoint import write_tiny_checkpoint
from tests.tts.test_serve import SETTINGS, running

KEY = "k" * 24
SHORT = SETTINGS.model_copy(update={"max_seconds": 4.0})


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")
    return load_synthesizer(folder, SHORT, load_recipe("sample").describing)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def server(synthesizer, kept):
    table = {"nova": "Talia"}
    with running(synthesizer, table=table, kept=kept, like=True, key=KEY, name="mine") as url:
        yield httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=600)


CLIENTS = {
    "Open WebUI": {"model": "tts-1", "input": "Hello there.", "voice": "alloy"},
    "Open WebUI with parameters": {"model": "tts-1", "input": "Hello there.", "voice": "nova", "speed": 1.1},
    "SillyTavern": {"input": "Hello there.", "response_format": "mp3", "voice": "nova", "speed": 1, "model": "tts-1"},
    "SillyTavern streaming": {
        "model": "m", "input": "Hello.", "voice": "Jerry", "response_format": "wav", "speed": 1, "stream": True,
        "retry_badcase": True,
    },
    "Home Assistant": {
        "model": "gpt-4o-mini-tts", "input": "The door is open.", "voice": "shimmer", "response_format": "mp3",
        "speed": 1.0, "instructions": "Speak in a happy tone.", "stream_format": "audio",
    },
    "LibreChat": {"input": "Hello there.", "model": "tts-1", "voice": "Talia", "backend": "parler"},
    "LibreChat without voices": {"input": "Hello there.", "model": "tts-1"},
    "a bot": {"input": "Hello there.", "voice": "jerry", "response_format": "opus"},
    "every field null": {
        "input": "Hello there.", "model": None, "voice": None, "instructions": None, "response_format": None,
        "stream_format": None, "stream": None, "speed": None, "style": None, "rate": None, "description": None,
        "seed": None, "like": None,
    },
    "a voice object": {"input": "Hello there.", "voice": {"id": "Talia"}},
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_what_each_client_sends_is_spoken(server, client):
    answer = server.post("/v1/audio/speech", json=CLIENTS[client])
    assert answer.status_code == 200, answer.text
    assert decode(answer.content).seconds > 0.05
    assert answer.headers["x-request-id"]
    remarks = answer.headers.get("x-parler-remarks", "")
    for field in ("backend", "retry_badcase"):
        assert (field in remarks) == (field in CLIENTS[client]), "unknown fields are named"
    assert ("is not in the recipe's table" in remarks) == (CLIENTS[client].get("voice") in ("alloy", "shimmer"))


@pytest.mark.parametrize("stream", [None, False])
@pytest.mark.parametrize(("kind", "rate"), [("wav", 16000), ("mp3", 16000), ("opus", 16000), ("pcm", 24000)])
def test_formats_by_decoding(server, kind, rate, stream):
    asked = {"input": "Hello there.", "response_format": kind, "stream": stream}
    answer = server.post("/v1/audio/speech", json=asked)
    assert answer.status_code == 200
    expected = decode(server.post("/v1/audio/speech", json=asked | {"response_format": "wav", "stream": False}).content)
    if kind == "pcm":
        assert answer.headers["content-type"] == "audio/pcm;rate=24000;channels=1"
        seconds = len(np.frombuffer(answer.content, "<i2")) / rate
    else:
        sound, found = soundfile.read(io.BytesIO(answer.content), always_2d=True)
        assert (found if kind != "opus" else rate, sound.shape[1]) == (rate, 1)
        seconds = len(sound) / found
    assert seconds == pytest.approx(expected.seconds, abs=0.12)


def test_aac_where_an_encoder_is_there(server):
    av = pytest.importorskip("av", reason="the extra `aac` is not installed")
    answer = server.post("/v1/audio/speech", json={"input": "Hello there.", "response_format": "aac"})
    with av.open(io.BytesIO(answer.content)) as opened:
        frames = list(opened.decode(audio=0))
    assert (frames[0].sample_rate, frames[0].layout.name) == (16000, "mono")
    assert sum(frame.samples for frame in frames) > 1000


def test_the_openai_package(server):
    client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=KEY, max_retries=0)
    assert [model.id for model in client.models.list()] == ["mine"]
    assert client.models.retrieve("mine").id == "mine"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="nova", input="Hello there.", instructions="Cheerful.", response_format="wav"
    ) as answer:
        sound = b"".join(answer.iter_bytes())
        described = answer.headers["x-parler-description"]
    assert decode(sound).seconds > 0.05
    assert "Talia" in described, "a tone does not take the voice's name away"
    assert described.endswith("Cheerful.")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="other", max_retries=0).models.list()


def test_what_open_webui_reads(server):
    voices = server.get("/v1/audio/voices").json()["voices"]
    assert {"id": "Jerry", "name": "Jerry"}.items() <= voices[0].items()
    assert [model["id"] for model in server.get("/v1/audio/models").json()["models"]] == ["mine"]


def test_a_key_is_needed_but_for_probes_and_the_page(server):
    other = httpx.Client(base_url=server.base_url)
    for path in ("/v1/audio/voices", "/metrics", "/docs", "/openapi.json"):
        assert other.get(path).status_code == 401
        assert server.get(path).status_code == 200
    for path in ("/", "/health", "/ready", "/page/page.js", "/page/page.css"):
        assert other.get(path).status_code == 200
    assert other.post("/v1/audio/speech", json={"input": "Hi."}).json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(("key", "others", "refused"), [
    (None, False, False), (KEY, True, False), (None, True, True), ("short", False, True), (" ", True, True),
])  # fmt: skip
def test_other_machines_need_a_key(key, others, refused):
    if not refused:
        assert checked_key(key, others) == key
        return
    with pytest.raises(KeyRefused, match="PARLER_API_KEY"):
        checked_key(key, others)


def test_the_numbers_for_prometheus(server):
    server.post("/v1/audio/speech", json={"input": "Hello there."})
    page = server.get("/metrics").text
    for name in (
        "parler_requests_total{",
        "parler_queue_chunks 0.0",
        "parler_real_time_factor_bucket",
        "parler_chunks",
    ):
        assert name in page
    assert "parler_requests_active 0.0" in page


def test_ids_and_the_remarks_of_a_stream(server):
    answer = server.post("/v1/audio/speech", json={"input": "Hi é ж ж.", "odd": 1}, headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    record = server.get("/v1/audio/speech/mine-1").json()
    assert record["status"] == 200
    assert "odd" in record["remarks"][0]
    assert server.get("/v1/audio/speech/nobody").status_code == 404


def test_a_seed_chooses_the_take(server):
    def take(seed):
        asked = {"input": "Hello there.", "seed": seed, "response_format": "wav", "stream": False}
        return server.post("/v1/audio/speech", json=asked).content

    assert take(1) == take(1) != take(2)
    for bad in (-1, 2**32, "x", 1.5):
        assert server.post("/v1/audio/speech", json={"input": "Hi.", "seed": bad}).status_code == 400


def test_a_reference_and_a_kept_voice_are_continued_from(server, synthesizer, kept):
    from parler_assets.tts.serving.kept_voices import KeptVoice, keep_voice

    first = synthesizer.speak(Request("the lazy dog.", "Talia", seed=3))
    sound = np.resize(first.samples, 2 * synthesizer.voice.rate)
    audio = base64.b64encode(encode(sound, synthesizer.voice.rate)).decode()
    like = {"audio": audio, "text": "why not?"}
    answer = server.post("/v1/audio/speech", json={"input": "the lazy dog.", "like": like})
    assert answer.status_code == 200, answer.text
    for change in ({"audio": "!"}, {"text": "a"}, {"text": "word " * 100}, {"audio": base64.b64encode(b"x").decode()}):
        assert server.post("/v1/audio/speech", json={"input": "Hi.", "like": like | change}).status_code == 400
    from parler_assets.tts.synthesis.voice import VoicePrompt

    prompt = VoicePrompt("why not?", synthesizer.voice.encode(sound))
    keep_voice(kept, "mine", KeptVoice(prompt, "Talia"), synthesizer.voice, ["Jerry"])
    found = KeptVoices(kept, synthesizer.voice).find("mine")
    assert found.prompt.codes.tolist() == prompt.codes.tolist()
    assert (found.prompt.text, found.speaker) == (prompt.text, "Talia")
    assert "mine" in [voice["id"] for voice in server.get("/v1/audio/voices").json()["voices"]]
    spoken = server.post("/v1/audio/speech", json={"input": "the lazy dog.", "voice": "mine"})
    assert spoken.status_code == 200
    assert "Talia" in spoken.headers["x-parler-description"]
    (kept / "broken.safetensors").write_bytes(b"no tensors")
    assert server.post("/v1/audio/speech", json={"input": "Hi.", "voice": "broken"}).status_code == 400


@pytest.mark.parametrize("name", ["../up", "a/b", "", "x" * 65, "jerry", "Ä"])
def test_names_that_no_voice_is_kept_under(name):
    with pytest.raises(KeptVoiceError):
        check_name(name, ["Jerry"])


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("One. <break time='1s'/> Two.", [0, 1, 0]),
        ("<break time='250ms'/>One.<break strength='strong'></break>", [0.25, 0.8]),
        ("One<break/><break time='.5s'/> Two", [0, 0.9, 0]),
        ("<speak>One <break strength='none'/>two.</speak>", [0, 0, 0]),
    ],
)
def test_breaks_are_silence_of_their_length(synthesizer, text, pauses):
    plan = synthesizer.plan(Request(text, "Jerry"))
    assert plan.pauses == pytest.approx(pauses)
    assert len(plan.parts) == len(pauses) - 1


@pytest.mark.parametrize("text", ["<break time='11s'/>Hi", "<break time='1 hour'/>Hi", "<break strength='odd'/>Hi",
                                  "<break time='9s'/>Hi" * 7])  # fmt: skip
def test_breaks_that_cannot_be(text):
    with pytest.raises(SayError, match="break"):
        script_of(text)


def test_a_lexicon_spells_words(tmp_path):
    words = Lexicon({"SQL": "sequel", "nginx": "engine x", "US": "U S"})
    assert (
        script_of("Use us, the US: SQL, NGINX, nginxes.", words).text == "Use us, the U S: sequel, engine x, nginxes."
    )
    file = tmp_path / "words.yaml"
    file.write_text("SQL: sequel\nno: 5\n")
    with pytest.raises(LexiconError, match=r"words.yaml: "):
        read_lexicon(file)
    file.write_text("SQL: sequel\n")
    assert read_lexicon(file) == {"SQL": "sequel"}


def test_more_requests_than_allowed_are_told_when_to_come_again(synthesizer):
    with running(synthesizer, requests=0) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json={"input": "Hello."})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_strict_servers_refuse_unknown_fields(synthesizer):
    with running(synthesizer, strict=True) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json={"input": "Hello.", "backend": "x"})
    assert answer.status_code == 400
    assert "backend" in answer.json()["error"]["message"]
