"""The codec's training clips beside their analysis, in one file, and pieces of them in batches."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from parler_assets.sample.pretraining.analysis import Analysis, analyse
from parler_assets.sample.pretraining.clips import codec_clips
from parler_assets.sample.pretraining.latent import AXES, HOP, voice_channels
from parler_assets.storage.files import replacing

logger = logging.getLogger(__name__)
_SILENCE = np.log(1e-3)  # log amplitude of digital silence: the floor of an envelope


@dataclass(frozen=True)
class Axes:
    """Principal axes of envelopes: `mean` (2 BANDS,), one `scale` for all, `axes` (AXES, 2 BANDS)."""

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, envelopes: np.ndarray) -> Axes:
        mean = envelopes.mean(0, dtype=np.float64)
        centred = envelopes - mean
        scale = centred.std()
        _, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
        axes = directions.T[::-1][:AXES]
        axes *= np.sign(axes.sum(1, keepdims=True))  # an axis has no sign of its own
        return cls(mean.astype(np.float32), np.asarray(scale, np.float32), np.ascontiguousarray(axes, np.float32))

    def project(self, envelopes: np.ndarray) -> np.ndarray:
        """Envelopes (T, 2 BANDS) on the axes: (T, AXES)."""
        return ((envelopes - self.mean) / self.scale @ self.axes.T).astype(np.float32)

    def latents(self, found: Analysis) -> np.ndarray:
        """What an encoder should write of a clip: (T, ENCODED)."""
        voice = voice_channels(found.voiced, found.f0, found.phase)
        return np.concatenate([self.project(found.envelope), voice], 1)

    @property
    def silence(self) -> np.ndarray:
        """Channels (ENCODED,) of a frame without sound."""
        voice = voice_channels(np.zeros(1, bool), np.full(1, 100.0), np.zeros(1))
        return np.concatenate([self.project(np.full((1, len(self.mean)), _SILENCE)), voice], 1)[0]


@dataclass(frozen=True)
class Features:
    """All clips end to end. `sound` int16; `latents` (frames, ENCODED); `ends` of every clip, in frames."""

    sound: np.ndarray
    latents: np.ndarray
    ends: np.ndarray
    axes: Axes

    def __len__(self) -> int:
        return len(self.ends)

    def span(self, clip: int) -> tuple[int, int]:
        """First and last frame, exclusive, of a clip."""
        return int(self.ends[clip - 1]) if clip else 0, int(self.ends[clip])

    def samples(self, first: int, last: int) -> np.ndarray:
        """Float samples of frames."""
        return self.sound[first * HOP : last * HOP].astype(np.float32) / 32768

    @property
    def digest(self) -> str:
        """Of the clips' samples."""
        return hashlib.sha256(self.sound.tobytes()).hexdigest()


def make_features(path: Path, clips: int, seed: int) -> Features:
    """Synthesize and analyse, or read what was made before."""
    if not path.exists():
        _write(path, clips, seed)
    tensors = load_file(path)
    axes = Axes(tensors["mean"], tensors["scale"], tensors["axes"])
    return Features(tensors["sound"], tensors["latents"], tensors["ends"], axes)


def _write(path: Path, clips: int, seed: int) -> None:
    sounds, found = [], []
    for sound in codec_clips(clips, seed):
        whole = np.pad(sound, (0, -len(sound) % HOP))
        sounds.append(np.round(whole * 32767).astype(np.int16))
        found.append(analyse(sounds[-1].astype(np.float32) / 32768))
        if len(found) % 200 == 0:
            logger.info("%d of %d clips analysed", len(found), clips)
    axes = Axes.of(np.concatenate([one.envelope for one in found]).astype(np.float32))
    tensors = {
        "sound": np.concatenate(sounds),
        "latents": np.concatenate([axes.latents(one) for one in found]),
        "ends": np.cumsum([len(one.voiced) for one in found]),
        "mean": axes.mean,
        "scale": axes.scale,
        "axes": axes.axes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file(tensors, temporary)
