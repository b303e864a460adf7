"""Fine-tuning on a GPU: Parler-TTS Mini v0.1's shape with random weights and codes, the reference recipe's batches.

    python benchmarks/training_gpu.py [--levers]

Says positions a second, MFU against the device's bfloat16 peak, peak memory, and minutes for the 79.4 M positions of
the reference run, beside the floor, their arithmetic at that peak; with --levers, every lever taken away in turn.
Without a CUDA device it says so and measures nothing. --rehearse runs the same code on a CPU with a small shape, to see
that it works: its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from training import inputs, run
from training_levers import EVERYTHING, LEVERS

WARM, TIMED = 3, 10
POSITIONS = 79.4e6  # of the reference run's eight epochs
# The decoder of parler-tts/parler_tts_mini_v0.1; text encoder and codec are small, since neither runs in a step.
MINI = {
    "width": 1024, "rope": False, "num_hidden_layers": 24, "num_attention_heads": 16, "ffn_dim": 4096,
    "max_position_embeddings": 4096, "text_width": 768, "vocab_size": 1088, "use_fused_lm_heads": False,
    "ratios": (2, 4, 8, 8), "sampling_rate": 44100, "dropout": 0.1,
}  # fmt: skip
SMALL = {"width": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levers", action="store_true", help="every lever off in turn")
    parser.add_argument("--rehearse", action="store_true", help="a small shape on the CPU: does this script run?")
    parser.add_argument("--own", nargs=3, metavar=("FOLDER", "DEVICE", "WITHOUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        folder, device, without = given.own
        with LEVERS[without].replace():
            print(json.dumps(time_steps(Path(folder), device, LEVERS[without].changes)))
        return
    import torch

    if not given.rehearse and not torch.cuda.is_available():
        print(f"skipped: torch {torch.__version__} finds no CUDA device on this machine")
        return
    levers = [name for name, lever in LEVERS.items() if not lever.cpu_only] if given.levers else [EVERYTHING]
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), levers, "cpu" if given.rehearse else "cuda", given.rehearse)


def measure(folder: Path, levers: list[str], device: str, rehearse: bool) -> None:
    shape = MINI | (SMALL if rehearse else {})
    inputs(folder, shape, 40 if rehearse else 128 * 8, settings(device))
    print("| without | ms an update | positions/s | MFU | floor ms | peak GB | packed | minutes for 79.4 M positions |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for lever in levers:
        found = run([sys.executable, __file__, "--own", str(folder), device, lever], hidden=device == "cpu")
        speed = found["positions"] / found["seconds"]
        floor = found["flops"] / found["peak"]
        print(
            f"| {lever} | {1e3 * found['seconds'] / TIMED:.0f} | {speed:.0f} | {floor / found['seconds']:.1%} | "
            f"{1e3 * floor / TIMED:.0f} | {found['memory'] / 1e9:.1f} | {found['packed']} | "
            f"{POSITIONS / speed / 60:.1f} |",
            flush=True,
        )
    print(f"\n{found['device']}, {found['peak'] / 1e12:.3g} TFLOP/s at most, wall time of {TIMED} updates")


def settings(device: str, changes: dict | None = None):
    """The reference recipe's batches, 16 clips eight times an update; two of them for a rehearsal."""
    from parler_assets.recipe import Training

    plain = {
        "batch_size": 16, "effective_batch_size": 128 if device == "cuda" else 16, "max_steps": WARM + TIMED,
        "min_seconds": 1, "precision": "bfloat16", "evaluate_every": 10**6, "save_every": 10**6, "log_every": 10**6,
    }  # fmt: skip
    return Training(**plain | (changes or {}))


def time_steps(folder: Path, device: str, changes: dict) -> dict:
    """Wall seconds of the updates of a real training after the first few, and what they computed."""
    import torch

    from parler_assets.tts.training.assembly import assemble
    from parler_assets.tts.training.job import Job

    job = Job.create(folder / "set", folder / "base", folder / "run", settings(device, changes), device)
    job.folder.mkdir(exist_ok=True)
    trainer, cuda, ends = assemble(job), device == "cuda", []
    for index in range(WARM + TIMED):
        trainer.update(trainer.updates[index])
        if cuda:
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    timed = [trainer.updates[index] for index in range(WARM, WARM + TIMED)]
    positions = trainer.updates.plan.lengths.positions
    return {
        "seconds": ends[-1] - ends[WARM - 1],
        "positions": int(sum(positions[update["rows"]].sum() for update in timed)),
        "flops": sum(update["flops"] for update in timed),
        "peak": trainer.meter.peak or float("nan"),
        "packed": trainer.packed,
        "memory": torch.cuda.max_memory_allocated() if cuda else 0,
        "device": torch.cuda.get_device_name() if cuda else "rehearsal on a CPU",
    }


if __name__ == "__main__":
    main()
