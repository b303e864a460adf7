"""Generation on a CUDA device: Mini v0.1's decoder with random weights and a tiny codec, all in bfloat16.

    python benchmarks/generation_gpu.py

Printed are the seconds of computing for a second of speech at batch 1, the time to the first sound when streaming, and
the throughput at batch 64; beside the first, the least that reading the weights once a step takes. Without a device it
says so.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from generation import MINI, given_inputs
from sides import bandwidth, table

FRAMES, RATE, HOP = 430, 44100, 512


def main() -> None:
    if not torch.cuda.is_available():
        print("skipped: torch sees no CUDA device")
        return
    from parler_assets.tts import ParlerTTSForConditionalGeneration
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    with TemporaryDirectory() as folder:
        codec = {"ratios": (2, 4, 8, 8), "sampling_rate": RATE}
        write_tiny_checkpoint(Path(folder), **MINI | codec)
        model = ParlerTTSForConditionalGeneration.from_pretrained(folder, torch_dtype=torch.bfloat16).cuda()
    measured = {size: measure(model, size) for size in (1, 64)}
    spoken, weights = FRAMES * HOP / RATE, step_bytes(model)
    floor = FRAMES * weights / bandwidth("cuda")
    rows = {
        f"batch {size}": [f"{s / spoken:.4f}", f"{floor / spoken:.4f}", f"{size * spoken / s:.0f}", f"{1000 * f:.0f}"]
        for size, (s, f) in measured.items()
    }
    columns = ["seconds a second of speech", "floor", "seconds of speech a second", "ms to the first sound"]
    table(f"{torch.cuda.get_device_name()}, {FRAMES} frames", columns, rows)


def measure(model, size: int) -> tuple[float, float]:
    """Seconds for all of a batch, and until its first piece when streamed; the second run counts."""
    inputs = {name: ids.cuda() for name, ids in given_inputs(size).items()}
    length = FRAMES + model.config.decoder.num_codebooks
    options = {"max_length": length, "min_new_tokens": length, "do_sample": True, "seed": 1}
    for _ in range(2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        model.generate(**inputs, **options)
        torch.cuda.synchronize()
        whole = time.perf_counter() - started
        started = time.perf_counter()
        next(model.stream(**inputs, **options))
        torch.cuda.synchronize()
        first = time.perf_counter() - started
    return whole, first


def step_bytes(model) -> int:
    """What a step reads at least: the weights of the layers and the heads, without the cross-attention's keys."""
    kept = [p for name, p in model.decoder.named_parameters() if p.dim() > 1 and "embed" not in name]
    crossed = [p for n, p in model.decoder.named_parameters() if "encoder_attn.k_" in n or "encoder_attn.v_" in n]
    return sum(p.numel() * p.element_size() for p in kept) - sum(p.numel() * p.element_size() for p in crossed)


if __name__ == "__main__":
    main()
