"""How far a copy is from its original, as the codec's training counts it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank

from parler_assets.sample.pretraining.latent import HOP, RATE

# Window (samples) and mel bands of each resolution; hops are a quarter of the window.
RESOLUTIONS = ((1024, 80), (512, 64), (256, 32))
HARMONICS = 1200.0  # Hz below which phases count
_WINDOWS = (1024, 512)


class MelDistance(nn.Module):
    """Mean absolute difference of log-mel spectra at several resolutions, and of log spectra at the same."""

    def __init__(self) -> None:
        super().__init__()
        for window, bands in RESOLUTIONS:
            bank = mel_filter_bank(window // 2 + 1, bands, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
            self.register_buffer(f"bank_{window}", torch.from_numpy(bank).float(), persistent=False)
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Of two batches of samples (B, N)."""
        total = made.new_zeros(())
        for window, _ in RESOLUTIONS:
            one, other = self._spectrum(made, window), self._spectrum(real, window)
            total = total + functional.l1_loss(self._mel(one, window), self._mel(other, window))
            total = total + 0.25 * functional.l1_loss(one.clamp(1e-2).log(), other.clamp(1e-2).log())
        return total / len(RESOLUTIONS)

    def _mel(self, spectrum: Tensor, window: int) -> Tensor:
        """Log-mel (B, T, M) of magnitudes (B, F, T)."""
        return (spectrum.transpose(1, 2) @ self.get_buffer(f"bank_{window}")).clamp(1e-4).log()

    def _spectrum(self, sound: Tensor, window: int) -> Tensor:
        """Magnitudes (B, F, T)."""
        return _magnitude(_transformed(sound, window, self.get_buffer(f"window_{window}")))


def harmonics_distance(made: Tensor, real: Tensor, voiced: Tensor) -> Tensor:
    """Difference of the complex spectra (B, N) below `HARMONICS` where frames (B, T) are voiced.

    Every moment counts against its own level, above a floor, so that quiet voices count too.
    """
    total = made.new_zeros(())
    for window in _WINDOWS:
        kept, hann = int(HARMONICS * window / RATE) + 1, torch.hann_window(window, device=made.device)
        one, other = (_transformed(sound, window, hann)[:, :kept] for sound in (made, real))
        level = _magnitude(other).mean(1, keepdim=True)
        level = level + 0.1 * level.mean() + 1e-3
        frame = (torch.arange(other.shape[-1]) * (window // 4) // HOP).clamp(max=voiced.shape[1] - 1)
        counts = voiced[:, None, frame].float()
        total = total + (_magnitude(one - other) / level * counts).sum() / (counts.sum() * kept).clamp(min=1)
    return total / len(_WINDOWS)


def _transformed(sound: Tensor, window: int, hann: Tensor) -> Tensor:
    return torch.stft(sound, window, window // 4, window=hann, center=True, return_complex=True)


def _magnitude(spectrum: Tensor) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
