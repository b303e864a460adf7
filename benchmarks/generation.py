"""Generation beside parler-tts 0.2.3: the same weights and inputs, one CPU thread, by CPU seconds.

    benchmarks/reference_env.sh FOLDER
    python benchmarks/generation.py --reference FOLDER/bin/python

Two shapes, both with random weights and a tiny codec, so that steps and not the codec are measured: `small` has 11 M
weights (width 256, 6 layers), `mini` those of Mini v0.1's decoder (width 1024, 24 layers). Runs alternate; the least
CPU time of each counts. Beside it stands the floor: steps if a step did nothing but read its weights from memory once.
Without --reference only this project is measured. Both sides compute in float32, and where the CPU has bfloat16, or
with --precision bfloat16, in that too: a table each, so that equals are compared. A CUDA device is measured by
generation_gpu.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from sides import bandwidth, least, run, table

SMALL = {"width": 256, "num_hidden_layers": 6, "ffn_dim": 1024, "num_attention_heads": 4}
MINI = {"width": 1024, "num_hidden_layers": 24, "ffn_dim": 4096, "num_attention_heads": 16}
PUBLISHED = {
    "codebooks": 9, "codebook_size": 1024, "rope": False, "max_position_embeddings": 4096, "vocab_size": 1025,
    "use_fused_lm_heads": False, "text_width": 192,
}  # fmt: skip
SMALL, MINI = SMALL | PUBLISHED, MINI | PUBLISHED
SHAPES = {"small": (SMALL, 200), "mini": (MINI, 60)}
WIDTHS = {"float32": 4, "bfloat16": 2}  # bytes of a weight
CASES = {
    f"{kind}, batch {batch}": {"batch": batch, "options": {"do_sample": kind == "sampled"}}
    for kind in ("greedy", "sampled")
    for batch in (1, 4)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="python of the environment with parler-tts")
    parser.add_argument("--rounds", type=int, default=3, help="how often every side runs; the least time counts")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--precision", nargs="*", choices=WIDTHS, help="default: what the CPU has")
    parser.add_argument("--own", nargs=2, metavar=("FOLDER", "PRECISION"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        print(json.dumps(generate(Path(given.own[0]), given.own[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), *SHAPES[given.shape])
        for precision in given.precision or at_hand():
            found = least(given.rounds, sides(folder, given.reference, precision))
            show(found, *SHAPES[given.shape], precision)


def sides(folder: str, reference: str | None, precision: str) -> dict:
    """What to run of each side."""
    found = {"this project": partial(run, sys.executable, "generation.py", "--own", folder, precision)}
    for attention in ("eager", "sdpa") if reference else ():
        found[f"parler-tts, {attention}"] = partial(
            run, reference, "parler_reference.py", "generate", folder, attention, precision
        )
    return found


def at_hand() -> list[str]:
    from parler_assets.speech.precision import has_bfloat16

    return [precision for precision in WIDTHS if precision == "float32" or has_bfloat16("cpu")[0]]


def show(seconds: dict[str, dict[str, float]], shape: dict, steps: int, precision: str) -> None:
    own, *others = seconds.values()
    rows = {name: [f"{steps / tasks[case]:.1f}" for case in CASES] for name, tasks in seconds.items()}
    size, speed = step_weights(shape) * WIDTHS[precision], bandwidth("cpu")
    rows[f"floor: {size / 1e6:.0f} MB a step at {speed / 1e9:.0f} GB/s"] = [f"{speed / size:.1f}"] * len(CASES)
    if others:
        rows["times the faster original"] = [f"{min(o[case] for o in others) / own[case]:.2f}" for case in CASES]
    table(f"steps per CPU second, {precision}", list(CASES), rows)


def step_weights(shape: dict) -> int:
    """Weights that a step reads at least: layers without the cross-attention's keys and values, and heads."""
    d, K, V = shape["width"], shape["codebooks"], shape["codebook_size"] + 1
    return shape["num_hidden_layers"] * (6 * d * d + 2 * d * shape["ffn_dim"]) + K * V * d


def given_inputs(size: int) -> dict:
    """Padded descriptions and prompts of so many samples."""
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = {
        "input_ids": torch.randint(3, 90, (size, 40), generator=generator),
        "prompt_input_ids": torch.randint(3, 90, (size, 30), generator=generator),
        "attention_mask": torch.ones(size, 40, dtype=torch.long),
        "prompt_attention_mask": torch.ones(size, 30, dtype=torch.long),
    }
    for row in range(size):
        inputs["attention_mask"][row, 40 - 5 * (row % 4) :] = 0
        inputs["prompt_attention_mask"][row, : 4 * (row % 4)] = 0
    return inputs


def prepare(folder: Path, shape: dict, steps: int) -> None:
    """A base with random weights, padded inputs for four samples, and what is asked for."""
    from safetensors.torch import save_file

    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    write_tiny_checkpoint(folder / "base", **shape, ratios=(2, 4, 8, 8), sampling_rate=44100)
    save_file(given_inputs(4), folder / "inputs.safetensors")
    limits = {"max_length": steps + 1, "min_new_tokens": steps + 1}
    cases = {name: {**case, "options": case["options"] | limits} for name, case in CASES.items()}
    (folder / "cases.json").write_text(json.dumps(cases))


def generate(folder: Path, precision: str) -> dict[str, float]:
    """CPU seconds of every case, on this project's side."""
    import torch
    from safetensors.torch import load_file

    from parler_assets.tts import ParlerTTSForConditionalGeneration

    torch.set_num_threads(1)
    model = ParlerTTSForConditionalGeneration.from_pretrained(folder / "base", torch_dtype=precision)
    inputs, seconds = load_file(folder / "inputs.safetensors"), {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        batch = {key: value[: case["batch"]] for key, value in inputs.items()}
        model.generate(**batch, **case["options"] | {"max_length": 20, "min_new_tokens": 20})  # warm
        started = time.process_time()
        model.generate(**batch, **case["options"])
        seconds[name] = time.process_time() - started
    return seconds


if __name__ == "__main__":
    main()
