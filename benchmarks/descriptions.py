"""Descriptions of a table shaped like Expresso (11,615 rows, 224 attribute tuples): how long, and what it costs around
the model.

    python benchmarks/descriptions.py model     8 wordings a tuple against one generation a row, same tiny random model
    python benchmarks/descriptions.py stage     CPU seconds of everything but the model, answers coming at once
    python benchmarks/descriptions.py memory    peak memory of 100,000 and of a million rows

Needs the packages of the tests; run it from the project folder. `model` keeps one core busy for many minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from parler_assets import storage
from parler_assets.recipe import Describing
from parler_assets.speech.descriptions import describe_corpus, sentences
from parler_assets.speech.descriptions import writer as writing
from parler_assets.speech.descriptions.attributes import attributes_of
from parler_assets.speech.descriptions.engines import Request
from parler_assets.speech.descriptions.prompts import Prompt
from tests.support.described import SPEAKERS, STYLES, labels, write_bins
from tests.support.tiny_chat import write_tiny_chat

ROWS, ANSWER = 11_615, 32  # rows of Expresso; tokens of an answer: a random model never ends by itself


def expresso_rows(count: int) -> Iterator[dict]:
    """Clips over 4 speakers x 8 styles x 7 rates = 224 tuples."""
    cells = list(product(SPEAKERS, STYLES, labels()["speaking_rate"]))
    for number in range(count):
        speaker, style, rate = cells[number * 97 % len(cells)]
        yield {"id": f"{number:07d}", "speaker": speaker, "style": style, "speaking_rate": rate}


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - start[0], 2),
        "cpu_seconds": round(time.process_time() - start[1], 2),
    }


# --------------------------------------------------------------------------------------------------------------- model


def model(folder: Path, rows: int) -> dict:
    """The stage with k = 8, then what the reference does: every row, in order, sampled once without any cache."""
    tiny = write_tiny_chat(folder / "tiny")
    bins = write_bins(folder / "bins", list(expresso_rows(rows)), 1024)
    settings = Describing(
        engine="transformers", model=str(tiny), paraphrases=8, attempts=1, max_new_tokens=ANSWER, batch_size=32
    )
    start = clock()
    result = describe_corpus(bins, folder / "out", settings, folder / "cache")
    ours = since(start) | {"generations": result.manifest.facts["generations"]}
    start = clock()
    count = every_row(tiny, bins)
    theirs = since(start) | {"generations": count}
    ratio = {key: round(theirs[key] / ours[key], 2) for key in ours}
    return {"rows": rows, "tuples": result.manifest.facts["tuples"], "k8": ours, "row_by_row": theirs, "ratio": ratio}


def every_row(tiny: Path, bins: Path) -> int:
    """One sampled generation a row, batches of 32 in the table's order, padded to the longest."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny, padding_side="left", pad_token="</s>")
    llm, prompt, count = AutoModelForCausalLM.from_pretrained(tiny).eval(), Prompt("expresso"), 0
    rows = [row for part in storage.iterate(bins) for row in part.to_pylist()]
    for start in range(0, len(rows), 32):
        batch = [prompt.messages("named", attributes_of(row, "expresso")) for row in rows[start : start + 32]]
        inputs = tokenizer.apply_chat_template(
            batch, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            output = llm.generate(
                **inputs, do_sample=True, temperature=0.6, max_new_tokens=ANSWER, pad_token_id=tokenizer.pad_token_id
            )
        count += len(tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return count


# --------------------------------------------------------------------------------------------------------------- stage


class InstantEngine:
    """Answers at once what a good model would, three in a hundred of them with a preamble."""

    def __init__(self, asked: dict[str, dict[str, str]]) -> None:
        self.asked = asked

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        for start in range(0, len(requests), 32):
            yield {request.key: self._answer(request) for request in requests[start : start + 32]}

    def _answer(self, request: Request) -> str:
        line = request.messages[0]["content"].rsplit("Keywords: ", 1)[1].split("\n")[0]
        said = sentences(self.asked[line], 8, 1)[request.seed % 8]
        return f"Sure! {said}" if request.seed % 100 < 3 else said

    def close(self) -> None:
        pass


def stage(folder: Path, rows: int) -> dict:
    """Render, cache, verify, retry, write; the stand-in's own time is taken off."""
    table = list(expresso_rows(rows))
    bins = write_bins(folder / "bins", table, 1024)
    asked = {}
    for row in table[: 224 * 2]:
        attributes = attributes_of(row, "expresso")
        given = Prompt("expresso").filled("named", attributes).rsplit("Keywords: ", 1)[1]
        asked[given.split("\n")[0]] = attributes
    engine = InstantEngine(asked)
    writing.open_engine = lambda settings, cache, device: engine
    writing.model_identity = lambda settings, cache: "stand-in"
    from parler_assets.speech.descriptions import stage as module

    module.asked_of = lambda settings, cache: []
    settings = Describing(engine="transformers", model="stand-in/model", paraphrases=8)
    for attributes in asked.values():
        sentences(attributes, 8, 1)
    start = clock()
    result = describe_corpus(bins, folder / "out", settings, folder / "cache")
    cold = since(start)
    (folder / "out" / "manifest.json").unlink()
    for path in (folder / "out").glob("part-*"):
        path.unlink()
    start = clock()
    describe_corpus(bins, folder / "out", settings, folder / "cache")
    facts = {key: result.manifest.facts[key] for key in ("tuples", "generations", "rejected", "replaced_by_template")}
    return {"rows": rows, **facts, "nothing kept": cold, "all answers kept": since(start)}


# -------------------------------------------------------------------------------------------------------------- memory


def memory(folder: Path) -> dict:
    """Peak memory of the stage by the number of rows, each in a process of its own."""
    found = {}
    for rows in (100_000, 1_000_000):
        command = [sys.executable, __file__, "describe", "--rows", str(rows), "--folder", str(folder / str(rows))]
        found[rows] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def describe(folder: Path, rows: int) -> dict:
    """Write bins in a child, describe them here, and say what this process used."""
    child = os.fork()
    if not child:
        write_in_parts(folder / "bins", rows)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = clock()
    result = describe_corpus(folder / "bins", folder / "out", Describing(), folder / "cache")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return since(start) | {"rows": result.manifest.rows, "before_mb": before // 1024, "peak_mb": peak // 1024}


def write_in_parts(folder: Path, rows: int, size: int = 4096) -> None:
    import pyarrow as pa

    from tests.support.described import SCHEMA

    every = expresso_rows(rows)

    def make(index: int) -> storage.Part:
        part = [next(every) for _ in range(min(size, rows - index * size))]
        return storage.Part(pa.Table.from_pylist(part, schema=SCHEMA))

    storage.build(folder, f"bins{rows}", -(-rows // size), make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["model", "stage", "memory", "describe"])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        found = memory(folder) if chosen.what == "memory" else globals()[chosen.what](folder, chosen.rows)
    print(json.dumps(found, indent=1 if chosen.what != "describe" else None))


if __name__ == "__main__":
    main()
