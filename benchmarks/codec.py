"""Decoding a finished batch of codes beside parler-tts 0.2.3: the published codec's size, one CPU thread, CPU seconds.

    benchmarks/reference_env.sh FOLDER
    python benchmarks/codec.py --reference FOLDER/bin/python

Weights are random, in descript's naming with weight norm as on the Hub. The original decodes a finished batch sample by
sample, each time computing its weights from their norms; this is what its `generate` does once a sample has ended.
Runs alternate; the least CPU time counts. Without --reference only this project is measured.
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

FRAMES = (24, 40, 32, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="python of the environment with parler-tts")
    parser.add_argument("--rounds", type=int, default=2, help="how often every side runs; the least time counts")
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        print(json.dumps(decode(given.own)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        sides = {"this project": partial(run, sys.executable, "codec.py", "--own", folder)}
        if given.reference:
            sides["parler-tts"] = partial(run, given.reference, "parler_reference.py", "decode", folder)
        found = least(given.rounds, sides)
    seconds = {name: tasks["decode"] for name, tasks in found.items()}
    spoken = sum(FRAMES) * 512 / 44100
    rows = {name: [f"{s:.2f}", f"{spoken / s:.2f}"] for name, s in seconds.items()}
    if given.reference:
        rows["times the original"] = ["", f"{seconds['parler-tts'] / seconds['this project']:.2f}"]
    table(f"{len(FRAMES)} samples, {spoken:.2f} s", ["CPU seconds", "seconds of sound per CPU second"], rows)


def prepare(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from tests.support.published_layouts import DESCRIPT, tensors

    generator, start = torch.Generator().manual_seed(0), "audio_encoder.model."
    weights = {
        name.removeprefix("audio_encoder."): torch.randn(shape, generator=generator) * 0.02 + 0.1 * name.endswith("_g")
        for name, shape in tensors("mini-v1").items()
        if name.startswith(start)
    }
    (folder / "codec").mkdir()
    save_file(weights, folder / "codec" / "model.safetensors")
    (folder / "codec" / "config.json").write_text(json.dumps(DESCRIPT))
    codes = torch.randint(0, 1024, (len(FRAMES), 9, max(FRAMES)), generator=generator)
    save_file({"codes": codes, "frames": torch.tensor(FRAMES)}, folder / "codes.safetensors")


def decode(folder: Path) -> dict[str, float]:
    import torch
    from safetensors.torch import load_file

    from parler_assets.speech.codec.codec import load_codec

    torch.set_num_threads(1)
    codec, given = load_codec(folder / "codec"), load_file(folder / "codes.safetensors")
    codes = [code[:, :count] for code, count in zip(given["codes"], given["frames"].tolist(), strict=True)]
    codec.decode_tensors([code[:, :4] for code in codes[:1]])  # warm
    started = time.process_time()
    codec.decode_tensors(codes)
    return {"decode": time.process_time() - started}


if __name__ == "__main__":
    main()
