"""Generation beside parler-tts 0.2.3: the same weights and inputs, one CPU thread, by CPU seconds.

    benchmarks/reference_env.sh FOLDER
    python benchmarks/generation.py --reference FOLDER/bin/python

The model has 11 M weights (width 256, 6 layers) and a tiny codec, so that steps and not the codec are measured. Runs
alternate; the least CPU time of each counts. Without --reference only this project is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from sides import least, run, table

STEPS = 200
CASES = {
    f"{kind}, batch {batch}": {"batch": batch, "options": {"do_sample": kind == "sampled"}}
    for kind in ("greedy", "sampled")
    for batch in (1, 4)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="python of the environment with parler-tts")
    parser.add_argument("--rounds", type=int, default=3, help="how often every side runs; the least time counts")
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        print(json.dumps(generate(given.own)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        sides = {"this project": partial(run, sys.executable, "generation.py", "--own", folder)}
        for attention in ("eager", "sdpa") if given.reference else ():
            sides[f"parler-tts, {attention}"] = partial(
                run, given.reference, "parler_reference.py", "generate", folder, attention
            )
        show(least(given.rounds, sides))


def show(seconds: dict[str, dict[str, float]]) -> None:
    own, *others = seconds.values()
    rows = {name: [f"{STEPS / tasks[case]:.0f}" for case in CASES] for name, tasks in seconds.items()}
    if others:
        rows["times the faster original"] = [f"{min(o[case] for o in others) / own[case]:.2f}" for case in CASES]
    table("steps per CPU second", list(CASES), rows)


def prepare(folder: Path) -> None:
    """A base with random weights, padded inputs for four samples, and what is asked for."""
    import torch
    from safetensors.torch import save_file

    from tests.tiny_checkpoint import write_tiny_checkpoint

    write_tiny_checkpoint(
        folder / "base", codebooks=9, codebook_size=1024, width=256, rope=False, num_hidden_layers=6, ffn_dim=1024,
        max_position_embeddings=2048, text_width=192, vocab_size=1025, use_fused_lm_heads=False, ratios=(2, 4, 8, 8),
        sampling_rate=44100,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "input_ids": torch.randint(3, 90, (4, 40), generator=generator),
        "prompt_input_ids": torch.randint(3, 90, (4, 30), generator=generator),
        "attention_mask": torch.ones(4, 40, dtype=torch.long),
        "prompt_attention_mask": torch.ones(4, 30, dtype=torch.long),
    }
    for row in range(1, 4):
        inputs["attention_mask"][row, 40 - 5 * row :] = 0
        inputs["prompt_attention_mask"][row, : 4 * row] = 0
    save_file(inputs, folder / "inputs.safetensors")
    limits = {"max_length": STEPS + 1, "min_new_tokens": STEPS + 1}
    cases = {name: {**case, "options": case["options"] | limits} for name, case in CASES.items()}
    (folder / "cases.json").write_text(json.dumps(cases))


def generate(folder: Path) -> dict[str, float]:
    """CPU seconds of every case, on this project's side."""
    import torch
    from safetensors.torch import load_file

    from parler_assets.tts import ParlerTTSForConditionalGeneration

    torch.set_num_threads(1)
    model = ParlerTTSForConditionalGeneration.from_pretrained(folder / "base")
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
