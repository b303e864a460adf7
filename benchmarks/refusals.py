"""What looking at files and requests costs: shares of reading a corpus, loading checkpoints and serving a request.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/refusals.py

The checks are timed by themselves and within the whole, in one run: each work is done several times and the least time
counts, as on a shared machine it is the one that others disturbed least. Differences of whole runs would be smaller
than what such a machine varies by.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from parler_assets.hub import pretrained
from parler_assets.intake import chat_templates, folders, names, sounds, torch_files
from parler_assets.recipe import Corpus, FolderSource, Shards
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.sources import parquet

CLIPS, TRIES = 600, 3
SAMPLE = Path(__file__).parents[1] / "parler_assets" / "sample" / "base"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        told = {
            "corpus in a folder": corpus(Path(place)),
            "rows of Parquet": rows(Path(place)),
            "Parler-TTS checkpoint": checkpoint(),
            "language model": language_model(Path(place)),
            "weights of an annotator": annotator(Path(place)),
            "request for speech": request(),
        }
    print("| work | checks, ms | whole, ms | share |\n|---|---|---|---|")
    for name, (checks, whole) in told.items():
        print(f"| {name} | {checks * 1000:.2f} | {whole * 1000:.1f} | {checks / whole:.1%} |")


def least(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(TRIES):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def corpus(place: Path) -> tuple[float, float]:
    """Headers, paths and characters of clips of 5 s, against storing them as raw shards."""
    folder = place / "corpus"
    folder.mkdir()
    sound = 0.1 * np.sin(np.arange(5 * 24000) * 0.1)
    for clip in range(CLIPS):
        soundfile.write(folder / f"{clip}.wav", sound, 24000)
    table = "".join(json.dumps({"file_name": f"{c}.wav", "text": "a good one"}) + "\n" for c in range(CLIPS))
    (folder / "metadata.jsonl").write_text(table)
    data = (folder / "0.wav").read_bytes()
    given = Corpus(source=FolderSource(kind="folder", path=folder))

    def look() -> None:
        inside = folders.Folders(folder)
        for clip in range(CLIPS):
            inside.find([f"{clip}.wav"])
            for _ in range(5):
                names.text_problem("a good one")
            with soundfile.SoundFile(folder / f"{clip}.wav") as opened:
                sounds._refuse_header(opened, sounds.SECONDS, sounds.SAMPLES)

    def only_open() -> None:
        for clip in range(CLIPS):
            soundfile.SoundFile(folder / f"{clip}.wav").close()

    whole = least(lambda: build_raw_dataset(given, place / "raw", Shards(), place, rebuild=True))
    assert len(data) > 1000
    return max(least(look) - least(only_open), 0.0), whole


def rows(place: Path) -> tuple[float, float]:
    """Counted batches against pyarrow's reading of the same group: 1000 clips of 200 KB of noise."""
    file, draw = place / "rows.parquet", np.random.default_rng(0)
    audio = [{"bytes": draw.bytes(200_000), "path": f"{n}.wav"} for n in range(1000)]
    pq.write_table(pa.table({"audio": audio, "text": ["a good one"] * 1000}), file)

    def plain() -> None:
        pq.ParquetFile(file).read_row_group(0, ["audio", "text"])

    whole = least(lambda: parquet.read_group(file, 0, ["audio", "text"]))
    return whole - least(plain), whole


def checkpoint() -> tuple[float, float]:
    from parler_assets.tts import ParlerTTSForConditionalGeneration
    from parler_assets.tts.model.loading import _matching_config, read_config

    whole = least(lambda: ParlerTTSForConditionalGeneration.from_pretrained(SAMPLE))
    return least(lambda: _matching_config(SAMPLE)) - least(lambda: read_config(SAMPLE)), whole


def language_model(place: Path) -> tuple[float, float]:
    """A Llama of 135 M parameters in float32: files and sizes, and 100 prompts rendered under limits, beside loading it
    and rendering them without. Answers are not counted, which would make the share smaller still."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
                         num_attention_heads=12)  # fmt: skip
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(place / "llm")
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    talk = [[{"role": "user", "content": "Describe this voice. " * 50}]]

    def render() -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        return render_jinja_template(talk, chat_template=template)[0][0]

    def look() -> None:
        pretrained.refuse_larger(AutoModelForCausalLM, pretrained.checked_folder(str(place / "llm"), None))

    bounded = least(lambda: [chat_templates.written(render) for _ in range(100)])
    plain = least(lambda: [render() for _ in range(100)])
    print(f"100 prompts: {plain * 1000:.1f} ms plain, {bounded * 1000:.1f} ms bounded")
    checks = least(look) + bounded - plain
    loading = least(lambda: AutoModelForCausalLM.from_pretrained(place / "llm"))
    return checks, loading + bounded + least(look)


def request() -> tuple[float, float]:
    """The guard before a trivial application, against speaking a short text by the sample's tiny model."""
    import asyncio

    import httpx
    from starlette.responses import Response

    from parler_assets.recipe import load_recipe
    from parler_assets.tts.serving.plan import Request
    from parler_assets.tts.serving.synthesizer import load_synthesizer
    from parler_assets.web.guard import Guard, Policy

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await Response(b"")(scope, receive, send)

    def asked(application: Any) -> None:
        async def ask() -> None:
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                for _ in range(200):
                    assert (await client.post("/v1/audio/speech", json={"input": "Hello there."})).status_code == 200

        asyncio.run(ask())

    recipe = load_recipe("sample")
    synthesizer = load_synthesizer(SAMPLE, recipe.evaluation, recipe.describing)
    spoken = least(lambda: synthesizer.speak(Request("Hello there.", recipe.evaluation.speakers[0], seed=1)))
    guard = Guard(app, Policy(hosts=frozenset({"127.0.0.1"})))
    return (least(lambda: asked(guard)) - least(lambda: asked(app))) / 200, spoken


def annotator(place: Path) -> tuple[float, float]:
    import torch

    from parler_assets.speech.annotation.networks import fcnf0

    torch.save({"model": fcnf0.Fcnf0().state_dict()}, place / "fcnf0.pt")

    def look() -> None:
        with (place / "fcnf0.pt").open("rb") as file:
            torch_files._named(file, place / "fcnf0.pt")

    return least(look), least(lambda: fcnf0.load(place / "fcnf0.pt", "cpu"))


if __name__ == "__main__":
    main()
