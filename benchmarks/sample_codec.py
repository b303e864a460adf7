"""How well the sample codec keeps speakers it never heard: `python benchmarks/sample_codec.py [CHECKPOINT]`.

Prints STOI and extended STOI (pystoi) of copy-synthesis against the original by style.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pystoi import stoi

from parler_assets.sample import base_path
from parler_assets.sample.espeak import RATE
from parler_assets.sample.plan import named_clips, render
from parler_assets.speech.audio import resample
from parler_assets.speech.codec.codec import load_codec
from parler_assets.speech.codec.encode import round_trip

CLIPS = 64


def main() -> None:
    codec = load_codec(Path(sys.argv[1]) if len(sys.argv) > 1 else base_path())
    clips = named_clips(CLIPS, seed=99)
    sounds = [resample(samples, RATE, codec.sampling_rate) for samples in render(clips)]
    copies = codec.decode(codec.encode(sounds))
    scores: dict[str, list[tuple[float, float]]] = {}
    for clip, sound, copy in zip(clips, sounds, copies, strict=True):
        pair = sound[: len(copy)], copy[: len(sound)]
        found = tuple(float(stoi(*pair, codec.sampling_rate, extended=extended)) for extended in (False, True))
        scores.setdefault(clip.style, []).append(found)
    for style, found in scores.items():
        print(f"{style:12} STOI {np.mean([a for a, _ in found]):.3f}  ESTOI {np.mean([b for _, b in found]):.3f}")
    every = [one for found in scores.values() for one in found]
    print(f"{'all':12} STOI {np.mean([a for a, _ in every]):.3f}  ESTOI {np.mean([b for _, b in every]):.3f}")
    print(round_trip(codec, sounds))


if __name__ == "__main__":
    main()
