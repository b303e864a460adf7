"""Compare our FCNF0++ with penn itself, on the same random weights, and write the golden file of the tests.

Needs the environment that annotation_env.sh makes (penn 1.0's Viterbi needs torbi, whose binaries end with torch 2.11):

    python -m benchmarks.parity_penn
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import penn
import torch

from parler_assets.speech.annotation.networks import fcnf0
from parler_assets.speech.annotation.penn import Penn
from parler_assets.speech.audio import Clip
from tests.support.golden_weights import fill, sound

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "penn.npz"
SECONDS = (0.0625, 0.5, 1.2345)
SHARPNESS = {"6.weight": 1.07}  # sharp enough that some frames are voiced and some are not


def original(samples: np.ndarray, checkpoint: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (T,) in Hz as DataSpeech asks for it, and periodicity (T,)."""
    options = {"hopsize": 0.01, "fmin": 30.0, "fmax": 1000.0, "batch_size": 4096, "center": "half-hop"}
    audio = torch.from_numpy(samples)[None]
    pitch, periodic = penn.from_audio(audio, 16000, checkpoint=checkpoint, interp_unvoiced_at=0.065, **options)
    return pitch[0].numpy(), periodic[0].numpy()


def main() -> None:
    network = fill(penn.Model(), 7, SHARPNESS)
    assert list(network.state_dict()) == list(fcnf0.Fcnf0().state_dict()), "other keys"
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "fcnf0++.pt"
        torch.save({"model": network.state_dict()}, checkpoint)
        import os

        os.environ["PARLER_WEIGHTS"] = folder
        clips = [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]
        tracks = Penn().tracks(clips)
        for seconds, clip, track in zip(SECONDS, clips, tracks, strict=True):
            pitch, periodic = original(clip.samples, checkpoint)
            voiced = float((periodic > 0.065).mean())
            same = np.abs(pitch / track - 1)
            print(
                f"{seconds} s: {len(pitch)} frames ({voiced:.0%} voiced), largest relative difference {same.max():.2e}"
            )
            golden |= {
                f"pitch_{seconds}": pitch.astype(np.float32),
                f"periodicity_{seconds}": periodic.astype(np.float32),
            }
    np.savez_compressed(TARGET, **golden)


if __name__ == "__main__":
    main()
