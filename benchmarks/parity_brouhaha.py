"""Compare our Brouhaha with pyannote's, on the same random weights, and write the golden file of the tests.

Needs an environment of its own with torch, torchaudio and pyannote.audio==4.0.7, and this repository on PYTHONPATH:

    python -m benchmarks.parity_brouhaha

Brouhaha is pyannote's PyanNet with three heads; its package pins an old pyannote and adds the heads, the repeated tail
and the binarised mean, which are written here from its description, independently of the package's own code.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch

telemetry = types.ModuleType("pyannote.audio.telemetry")  # its exporter conflicts with newer OpenTelemetry
for name in ("track_model_init", "track_pipeline_init", "track_pipeline_apply", "set_telemetry_metrics"):
    setattr(telemetry, name, lambda *_, **__: None)
sys.modules[telemetry.__name__] = telemetry

from pyannote.audio import Inference  # noqa: E402
from pyannote.audio.core.task import Problem, Resolution, Specifications  # noqa: E402
from pyannote.audio.models.segmentation import PyanNet  # noqa: E402
from pyannote.audio.utils.signal import Binarize  # noqa: E402
from pyannote.core import SlidingWindowFeature  # noqa: E402

from parler_assets.speech.annotation.brouhaha import Brouhaha, measured  # noqa: E402
from parler_assets.speech.audio import Clip  # noqa: E402
from tests.support.golden_weights import fill, sound  # noqa: E402

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "brouhaha.npz"
SECONDS = (0.4, 3.3, 6.0, 7.2, 9.5)
SHARPNESS = {"classifier.linears.vad.weight": -27.0} | {f"classifier.linears.{h}.weight": 30.0 for h in ("snr", "c50")}
SPECIFICATIONS = Specifications(
    problem=Problem.MULTI_LABEL_CLASSIFICATION,
    resolution=Resolution.FRAME,
    duration=6.0,
    min_duration=6.0,
    warm_up=(0.0, 0.0),
    classes=["vad", "snr", "c50"],
    permutation_invariant=False,
)


class Heads(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linears = torch.nn.ModuleDict({name: torch.nn.Linear(128, 1) for name in ("vad", "snr", "c50")})

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        speech, snr, c50 = (torch.sigmoid(self.linears[name](hidden)) for name in ("vad", "snr", "c50"))
        return torch.cat([speech, -95.0 * snr + 80.0, -70.0 * c50 + 60.0], dim=2)


class Original(PyanNet):
    def build(self) -> None:
        self.classifier, self.activation = Heads(), torch.nn.Identity()


def make_original() -> Original:
    network = Original(
        sincnet={"stride": 10},
        lstm={"hidden_size": 256, "num_layers": 3, "bidirectional": True, "monolithic": True, "dropout": 0.5},
        linear={"hidden_size": 128, "num_layers": 2},
    )
    network.specifications = SPECIFICATIONS
    network.build()
    return fill(network.eval(), 8, SHARPNESS)


def original_frames(inference: Inference, samples: np.ndarray) -> SlidingWindowFeature:
    """Frames (T, 3) of pyannote's sliding inference, given the tail already repeated."""
    count = (len(samples) - 96000) // 9600 + 1 if len(samples) >= 96000 else 0
    if len(samples) >= 96000 and (len(samples) - 96000) % 9600 == 0:
        return inference.slide(torch.from_numpy(samples)[None], 16000, None)
    tail = np.resize(samples[9600 * count :], 96000)
    repeated = torch.from_numpy(np.concatenate([samples[: 9600 * count], tail]))[None]
    frames = inference.slide(repeated, 16000, None)
    step = frames.sliding_window.step
    return SlidingWindowFeature(frames.data[: int(len(samples) / 16000 // step) + 1], frames.sliding_window)


def original_numbers(frames: SlidingWindowFeature) -> tuple[float, float, float]:
    """Speech duration in s, SNR and C50 in dB as DataSpeech takes them from frames."""
    speech = SlidingWindowFeature(frames.data[:, :1], frames.sliding_window)
    segments = list(Binarize(onset=0.78, offset=0.78)(speech).itersegments())
    mask = np.zeros(len(frames.data), bool)
    for segment in segments:
        mask[int(segment.start * 16000 / 270) : int(segment.end * 16000 / 270)] = True
    mask &= ~((frames.data[:, 1] == 0) & (frames.data[:, 2] == 0))
    values = frames.data[mask].mean(axis=0) if mask.any() else np.full(3, np.nan)
    return sum(segment.duration for segment in segments), float(values[1]), float(values[2])


def main() -> None:
    network = make_original()
    inference = Inference(network, duration=6.0, step=0.6, batch_size=32, device=torch.device("cpu"))
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        content = {"state_dict": network.state_dict(), "pyannote.audio": {"specifications": SPECIFICATIONS}}
        torch.save(content, Path(folder) / "best.ckpt")
        os.environ["PARLER_WEIGHTS"] = folder
        clips = [Clip(sound(seconds, seed=index), 16000) for index, seconds in enumerate(SECONDS)]
        for seconds, clip, ours in zip(SECONDS, clips, Brouhaha().frames(clips), strict=True):
            theirs = original_frames(inference, clip.samples)
            assert theirs.data.shape == ours.shape, (theirs.data.shape, ours.shape)
            numbers, room = original_numbers(theirs), measured(ours)
            print(
                f"{seconds} s: {len(ours)} frames, largest difference {np.abs(ours - theirs.data).max():.1e}; speech "
                f"{numbers[0]:.4f} s / {room.speech_duration:.4f}, SNR {numbers[1]:.4f} / {room.snr_b}"
            )
            golden |= {f"frames_{seconds}": theirs.data[::20], f"numbers_{seconds}": np.array([*numbers, len(ours)])}
    np.savez_compressed(TARGET, **golden)


if __name__ == "__main__":
    main()
