"""Pitch and monotony as DataSpeech measures them, by penn's FCNF0++, with the frames of many clips in one batch.

Settings are DataSpeech's: 100 frames a second, centred by half a hop, 30 to 1000 Hz. Mean and deviation are over all
frames of a clip; those whose posteriors are too flat (periodicity up to 0.065) are interpolated in log frequency
between their neighbours. Decoding is penn 0.0.x's (the most probable bin, then the expected value around it), which
all published tags used, or penn 1.0's (Viterbi first). Frames do not depend on each other, so batching clips changes
nothing. The fast mode looks at every fourth frame: frames overlap by nine tenths, and mean and deviation hardly move
(benchmarks/annotation.py counts the labels that do).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from parler_assets.hub import weights
from parler_assets.recipe import Annotation
from parler_assets.speech.annotation import sinc
from parler_assets.speech.annotation.networks import fcnf0
from parler_assets.speech.annotation.networks.fcnf0_cpu import OnCpu
from parler_assets.speech.annotation.praat import Pitch
from parler_assets.speech.audio import Clip
from parler_assets.speech.pieces import windows

RATE, WINDOW, HOP = 8000, fcnf0.WINDOW, 80
PADDING = (WINDOW - HOP) // 2
CENTS, LOWEST_HZ = 5.0, 31.0
HIGHEST_BIN = math.ceil(1200 * math.log2(1000 / LOWEST_HZ) / CENTS)  # DataSpeech's fmax of 1000 Hz
VOICED_ABOVE = 0.065
FAST = 4  # the fast mode takes one of so many frames
AROUND = 9  # bins to either side of the chosen one
STEEPEST = 32 * HOP / RATE * 1200 / CENTS + 1  # bins a frame: penn 1.0 allows 32 octaves a second
FRAMES = {"cpu": 128, "cuda": 8192}  # of one forward pass
STRETCH, AROUND_IT = 20_000, 500  # frames that Viterbi decodes at once, and those around them that it also hears


class Penn:
    """penn's pitch of clips at 16 kHz."""

    def __init__(
        self, device: str = "cpu", settings: Annotation | None = None, *, viterbi: bool = False, fast: bool = False
    ) -> None:
        settings = settings or Annotation()
        self.network, self.device = fcnf0.load(weights.penn(settings).fetch(), device), torch.device(device)
        self.logits_of = OnCpu(self.network).logits if self.device.type == "cpu" else self.network.logits
        self.batch_seconds, self.viterbi, self.hop = settings.batch_seconds, viterbi, HOP * (FAST if fast else 1)

    def __call__(self, clips: Sequence[Clip]) -> list[Pitch]:
        return [summary(track) for group in _groups(clips, self.batch_seconds) for track in self.tracks(group)]

    @torch.inference_mode()
    def tracks(self, clips: Sequence[Clip]) -> list[np.ndarray]:
        """Hz per frame, (T,) for each clip, unvoiced frames interpolated."""
        signal, starts, lengths = flat_frames(clips, self.hop)
        if self.viterbi and max(lengths) > STRETCH:
            found = [self._in_stretches(signal, part) for part in starts.split(lengths)]
        else:
            found = self._together(signal, starts, lengths)
        return [interpolated(pitch.cpu().numpy(), voiced.cpu().numpy()) for pitch, voiced in found]

    def _together(
        self, signal: torch.Tensor, starts: torch.Tensor, lengths: list[int]
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Pitch and periodicity (T,) of each clip; with Viterbi, all its logits are in memory."""
        decoded = [self._decode(logits) for logits in self.logits(signal, starts)]
        pitch = torch.cat([part[0] for part in decoded]).split(lengths)
        if self.viterbi:
            pitch = [expected_pitch(part, viterbi_path(torch.log_softmax(part, 1))) for part in pitch]
        return list(zip(pitch, torch.cat([part[1] for part in decoded]).split(lengths), strict=True))

    def _in_stretches(self, signal: torch.Tensor, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of one clip of any length; five seconds on, no path depends on where it began."""
        pitch, periodic = [], []
        for window in windows(len(starts), AROUND_IT, STRETCH):
            part = starts[window.first : window.last]
            ((hertz, voiced),) = self._together(signal, part, [len(part)])
            pitch.append(hertz[window.kept])
            periodic.append(voiced[window.kept])
        return torch.cat(pitch), torch.cat(periodic)

    def logits(self, signal: torch.Tensor, starts: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits (B, 1440) of successive batches of frames; half precision on a GPU, as penn runs there."""
        signal = signal.to(self.device)
        for part in starts.split(FRAMES[self.device.type]):
            with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
                logits = self.logits_of(signal, part)
            logits = logits.float()
            logits[:, HIGHEST_BIN:] = -torch.inf
            yield logits

    def _decode(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pitch (B,) in Hz, or for Viterbi the logits themselves, and periodicity (B,)."""
        found = logits.cpu() if self.viterbi else expected_pitch(logits, logits.argmax(1))
        return found, periodicity(logits)


def flat_frames(clips: Sequence[Clip], hop: int = HOP) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """All clips at 8 kHz, mirrored at their ends, in a row (N,); where frames start (F,); frames of each clip."""
    parts, starts, lengths, position = [], [], [], 0
    for clip in clips:
        low = sinc.resample(clip.samples, clip.rate, RATE)
        padded = np.pad(low, PADDING, mode="reflect")
        count = max(1, len(clip.samples) * RATE // (hop * clip.rate))
        missing = max(0, (count - 1) * hop + WINDOW - len(padded))
        parts.append(np.pad(padded, (0, missing + (len(padded) + missing) % 2)))  # frames start at even samples
        starts.append(position + hop * torch.arange(count))
        lengths.append(count)
        position += len(parts[-1])
    return torch.from_numpy(np.concatenate(parts)), torch.cat(starts), lengths


def expected_pitch(logits: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """Pitch (B,) in Hz: the mean in cents over the bins around the chosen ones (B,), weighted by their posteriors."""
    padded = torch.nn.functional.pad(logits, (AROUND, AROUND), value=-torch.inf)
    around = bins[:, None] + torch.arange(2 * AROUND + 1, device=bins.device)
    share = torch.softmax(padded.gather(1, around), dim=1)
    cents = CENTS * (around - AROUND).clamp(min=0)
    return LOWEST_HZ * 2 ** ((share * cents).sum(1) / 1200)


def periodicity(logits: torch.Tensor) -> torch.Tensor:
    """One minus the entropy of the posteriors (B,), relative to that of a flat distribution."""
    share = torch.softmax(logits, dim=1)
    return 1 + (share * torch.log(share + 1e-7)).sum(1) / math.log(fcnf0.BINS)


def viterbi_path(log_posteriors: torch.Tensor) -> torch.Tensor:
    """The best bins (T,) when pitch moves by triangular steps, for log posteriors (T, 1440)."""
    reach = math.ceil(STEEPEST) - 1
    band = _steps(reach)
    score, pointers = log_posteriors[0], []
    for posterior in log_posteriors[1:]:
        reachable = torch.nn.functional.pad(score, (reach, reach), value=-torch.inf).unfold(0, 2 * reach + 1, 1)
        best, step = (reachable + band).max(1)
        pointers.append((step - reach).to(torch.int8))  # one for every bin and frame
        score = best + posterior
    path = [int(score.argmax())]
    for pointer in reversed(pointers):
        path.append(path[-1] + int(pointer[path[-1]]))
    return torch.tensor(path[::-1])


def _steps(reach: int) -> torch.Tensor:
    """Log probability of coming to each bin from those around it, (1440, 2 * reach + 1)."""
    bins = torch.arange(fcnf0.BINS)
    distance = (bins[:, None] - bins).abs()
    weights = (STEEPEST - distance).clamp(min=0)
    log_probs = torch.log(weights / weights.sum(1, keepdim=True))
    padded = torch.nn.functional.pad(log_probs, (0, 0, reach, reach), value=-torch.inf)
    return torch.stack([padded[shift : shift + fcnf0.BINS].diagonal() for shift in range(2 * reach + 1)], dim=1)


def interpolated(pitch: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Pitch (T,) in Hz with unvoiced frames on straight lines in log frequency between voiced ones; raw if none is."""
    voiced = np.flatnonzero(periodic > VOICED_ABOVE)
    if not len(voiced):
        return pitch
    return 2 ** np.interp(np.arange(len(pitch)), voiced, np.log2(pitch[voiced]))


def summary(track: np.ndarray) -> Pitch:
    """Mean and deviation over all frames (T,), as published; a single frame has no deviation."""
    if len(track) < 2:
        return Pitch(float(track.mean()), None, "pitch: a single frame has no deviation")
    return Pitch(float(track.mean()), float((track - track[0]).std(ddof=1)))


def _groups(clips: Sequence[Clip], seconds: float) -> Iterator[list[Clip]]:
    """Neighbouring clips of together at most `seconds`, or one longer clip."""
    group: list[Clip] = []
    total = 0.0
    for clip in clips:
        if group and total + clip.seconds > seconds:
            yield group
            group, total = [], 0.0
        group.append(clip)
        total += clip.seconds
    if group:
        yield group
