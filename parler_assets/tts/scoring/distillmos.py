"""DistillMOS (B. Stahl and H. Gamper, ICASSP 2025): a predicted mean opinion score, 1 to 5, without a reference.

The published weights and the transformer are those of the packages `distillmos` and `xls_r_sqa`. The convolutions in
front of it are said again here, with the published keys: the module that has them imports torchaudio, which only its
command line needs and which breaks a CPU build of torch.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 16000
SEGMENT, STRIDE = 122_880, 16_000  # samples that are judged at once; between the starts of segments, at most
WINDOW, HOP = 320, 160
CHANNELS = (2, 64, 64, 128, 256, 256, 256)
WIDTH, HEADS, LAYERS = 200, 8, 7  # of the transformer
POWER = 0.3  # that magnitudes are compressed by


def is_installed() -> bool:
    return bool(find_spec("distillmos") and find_spec("xls_r_sqa"))


class DistillMos(nn.Module):
    """One sound (N,) at 16 kHz to its predicted opinion score."""

    def __init__(self) -> None:
        super().__init__()
        from xls_r_sqa.config import FEAT_SEQ_LEN, Config
        from xls_r_sqa.sqa_model import SingleLayerModel

        layers, height = [], WINDOW // 2 + 1
        for place, (before, after) in enumerate(pairwise(CHANNELS)):
            stride = (min(2, place + 1), 2 if place == len(CHANNELS) - 2 else 1)  # of frequency and time
            layers += [nn.Conv2d(before, after, 3, stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
            height = (height - 3) // stride[0] + 1
        self.cnn = nn.ModuleDict({"cnn": nn.Sequential(*layers)})
        settings = Config("", None, FEAT_SEQ_LEN, WIDTH, None, HEADS, LAYERS)
        settings.dim_input = CHANNELS[-1] * height
        self.transformer_pool_attn = SingleLayerModel(settings)

    def forward(self, sound: Tensor) -> Tensor:
        parts = segments(sound)
        parts = parts / (parts.abs().amax(dim=1, keepdim=True) + 1e-8)
        features = self.cnn["cnn"](compressed(parts)).flatten(1, 2)  # (S, C, T)
        return 1 + 4 * self.transformer_pool_attn(features.transpose(1, 2)).mean()


def segments(sound: Tensor) -> Tensor:
    """(S, SEGMENT): a short sound with silence behind it, a long one in evenly spaced parts."""
    beyond = max(0, len(sound) - SEGMENT)
    sound = F.pad(sound, (0, max(0, SEGMENT - len(sound))))
    starts = [int(share * beyond) for share in np.linspace(0, 1, math.ceil(beyond / STRIDE) + 1)]
    return torch.stack([sound[start : start + SEGMENT] for start in starts])


def compressed(sounds: Tensor) -> Tensor:
    """Complex spectra (S, 2, F, T) of sounds (S, N), their magnitudes to the power 0.3."""
    padded = F.pad(sounds, ((WINDOW - HOP) // 2,) * 2, mode="reflect")
    window = torch.hann_window(WINDOW, device=sounds.device)
    spectra = torch.view_as_real(torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True))
    magnitudes = spectra.norm(dim=-1, keepdim=True).clip(1e-12)
    return (spectra * magnitudes ** (POWER - 1)).permute(0, 3, 1, 2)


def load_distillmos(device: str = "cpu") -> DistillMos:
    """The network with the published weights, which lie in the package."""
    spec = find_spec("distillmos")
    folders = (spec.submodule_search_locations if spec else None) or []
    [weights] = [path for folder in folders for path in Path(folder, "weights").glob("*.pt")]
    network = DistillMos()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model"])
    return network.to(device).eval()
