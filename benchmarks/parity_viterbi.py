"""Hold our Viterbi decoding of pitch to librosa's, which torbi, and so penn 1.0, names as its reference.

torbi's own binaries end with torch 2.11 and do not load into 2.13. Needs librosa beside torch; writes the golden file
of the tests:

    python -m benchmarks.parity_viterbi
"""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import torch

from parler_assets.speech.annotation.networks.fcnf0 import BINS
from parler_assets.speech.annotation.penn import viterbi_path
from tests.support.golden_weights import wandering

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "viterbi.npz"
SEEDS = (0, 1, 2)


def transitions() -> np.ndarray:
    """penn 1.0's: triangles as wide as 32 octaves a second allow at 100 frames, rows that sum to one."""
    bins = np.arange(BINS)
    widest = 32 * 0.01 * 240 + 1
    weights = np.clip(widest - np.abs(bins[:, None] - bins), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def main() -> None:
    golden = {}
    for seed in SEEDS:
        logits = wandering(seed)
        share = torch.softmax(logits, 1).numpy().astype(np.float64)
        theirs = librosa.sequence.viterbi(share.T, transitions(), p_init=np.full(BINS, 1 / BINS))
        ours = viterbi_path(torch.log_softmax(logits, 1)).numpy()
        greedy = logits.argmax(1).numpy()
        same, moved = (ours == theirs).mean(), (greedy != theirs).mean()
        print(f"seed {seed}: {same:.2%} of {len(ours)} frames alike; {moved:.0%} differ from the most probable bin")
        golden[f"path_{seed}"] = theirs.astype(np.int16)
    np.savez_compressed(TARGET, **golden)


if __name__ == "__main__":
    main()
