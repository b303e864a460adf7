"""Compare our SQUIM with torchaudio's, on the same random weights, and write the golden file of the tests.

Needs an environment of its own with torch and torchaudio, and this repository on PYTHONPATH:

    python -m benchmarks.parity_squim
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torchaudio.functional import resample
from torchaudio.models import squim_objective_base

from parler_assets.speech.annotation import sinc
from parler_assets.speech.annotation.networks.squim import SquimNetwork
from parler_assets.speech.annotation.squim import Squim
from parler_assets.speech.audio import Clip
from tests.support.golden_weights import fill, sound

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "squim.npz"
SECONDS = (0.1, 1.0, 1.0, 2.345, 16.0)
RATES = ((48000, 16000), (44100, 16000), (22050, 16000), (16000, 8000), (8000, 16000))


def main() -> None:
    network = fill(squim_objective_base().eval(), 9)
    assert sorted(network.state_dict()) == sorted(SquimNetwork().state_dict()), "other keys"
    clips = [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        torch.save(network.state_dict(), Path(folder) / "squim_objective_dns2020.pth")
        os.environ["PARLER_WEIGHTS"] = folder
        theirs = np.array([[float(s) for s in network(torch.from_numpy(c.samples[:240000])[None])] for c in clips])
        ours = np.array([[q.stoi, q.pesq, q.si_sdr] for q in Squim()(clips)])
    print(f"scores differ by at most {np.abs(ours - theirs).max():.1e}")
    golden = {"scores": theirs}
    for source, target in RATES:
        samples = sound(0.3, source, seed=1)
        expected = resample(torch.from_numpy(samples), source, target).numpy()
        print(f"{source} to {target}: {np.abs(sinc.resample(samples, source, target) - expected).max():.1e}")
        golden[f"resampled_{source}_{target}"] = expected[::50]
    np.savez_compressed(TARGET, **golden)


if __name__ == "__main__":
    main()
