"""The engine `vllm` for real, on the tiny random chat model: vLLM's CPU build, or a GPU's where there is one.

    benchmarks/vllm_env.sh FOLDER
    PARLER_VLLM_PYTHON=FOLDER/bin/python python benchmarks/descriptions_vllm.py

Asked: greedy answers equal to those of the engine `transformers`; sampled ones that depend on their seed alone; answers
as JSON; a lane described from bins to sentences; the process gone afterwards. Takes some minutes on a CPU.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GB
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from parler_assets.recipe import Describing
from parler_assets.speech.descriptions import describe_corpus
from parler_assets.speech.descriptions.engines import Request, open_engine
from parler_assets.speech.descriptions.prompts import Prompt
from tests.support.described import rows, write_bins
from tests.support.tiny_chat import write_tiny_chat


def requests(count: int) -> list[Request]:
    rates = ("very slowly", "quite fast", "moderate speed", "very fast")
    prompt = Prompt("expresso")
    asked = [{"name": "Jerry", "style": "happy", "speaking_rate": rates[n % 4]} for n in range(count)]
    return [Request(f"key{n}", prompt.messages("named", given), 100 + n) for n, given in enumerate(asked)]


def answers(tiny: Path, engine: str, some: Sequence[Request], **settings) -> tuple[dict[str, str], float]:
    """Texts by key, and seconds from the start of the engine to its end."""
    given = {"engine": engine, "model": str(tiny), "max_new_tokens": 24, **settings}
    start, found = time.perf_counter(), dict[str, str]()
    opened = open_engine(Describing.model_validate(given), tiny)
    try:
        for part in opened.answers(some):
            found |= part
    finally:
        opened.close()
    return found, round(time.perf_counter() - start, 1)


def main() -> None:
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tiny, some = write_tiny_chat(folder / "tiny"), requests(16)
        greedy, seconds = answers(tiny, "vllm", some, temperature=0.0)
        ours, _ = answers(tiny, "transformers", some, temperature=0.0)
        report["greedy answers equal to transformers'"] = f"{sum(greedy[k] == ours[k] for k in ours)} of {len(ours)}"
        report["seconds from start to end of the engine"] = seconds
        print(json.dumps(report, indent=1), flush=True)
        one, _ = answers(tiny, "vllm", some, temperature=1.0)
        two, _ = answers(tiny, "vllm", some[::-1][:8], temperature=1.0)
        report["sampled answers that are the same in another batch"] = (
            f"{sum(one[k] == two[k] for k in two)} of {len(two)}"
        )
        report["different sampled answers"] = len(set(one.values()))
        print(json.dumps(report, indent=1), flush=True)
        json_texts, _ = answers(tiny, "vllm", some[:4], temperature=1.0, structured=True, max_new_tokens=256)
        report["structured answers that begin as JSON"] = sum(
            text.lstrip().startswith("{") for text in json_texts.values()
        )
        settings = Describing(engine="vllm", model=str(tiny), paraphrases=2, attempts=2, max_new_tokens=24)
        result = describe_corpus(write_bins(folder / "bins", rows(64)), folder / "out", settings, folder / "cache")
        report["lane"] = {
            key: value for key, value in result.manifest.facts.items() if key not in ("examples", "model")
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
