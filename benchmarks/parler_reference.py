"""The reference's side of `generation.py`, `codec.py` and `round_trip.py`, in an environment that has parler-tts 0.2.3.

    python benchmarks/parler_reference.py {generate,decode,record} FOLDER ...

One JSON line comes out: CPU seconds by task, or nothing where tensors are written instead.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from parler_tts import ParlerTTSForConditionalGeneration
from safetensors.torch import load_file


def load(folder: Path, attention: str = "eager"):
    chosen = {"decoder": attention, "text_encoder": "eager"}
    return ParlerTTSForConditionalGeneration.from_pretrained(folder, attn_implementation=chosen).eval()


def generate(folder: Path, attention: str) -> dict:
    """CPU seconds of `generate` for every case of cases.json, each with its inputs in inputs.safetensors."""
    model, inputs, seconds = load(folder / "base", attention), load_file(folder / "inputs.safetensors"), {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        batch = {key: value[: case["batch"]] for key, value in inputs.items()}
        model.generate(**batch, **case["options"] | {"max_length": 20, "min_new_tokens": 20})  # warm
        started = time.process_time()
        model.generate(**batch, **case["options"])
        seconds[name] = time.process_time() - started
    return seconds


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    verb, folder, *rest = sys.argv[1:]
    print(json.dumps({"generate": generate}[verb](Path(folder), *rest) or {}))


if __name__ == "__main__":
    main()
