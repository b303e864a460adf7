"""What the sample's codec is trained to keep: how speech is spread over time and frequency, and its low waveform."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank

# Window (samples) and mel bands of each resolution; hops are a quarter of the window.
RESOLUTIONS = ((1024, 80), (512, 64), (256, 32), (128, 16))
LOW, LOW_WINDOW = 800.0, 512  # Hz, samples


class MelDistance(nn.Module):
    """Mean absolute difference of log-mel spectra at several resolutions, and of log spectra at the same."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        for window, bands in RESOLUTIONS:
            bank = mel_filter_bank(window // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney")
            self.register_buffer(f"bank_{window}", torch.from_numpy(bank).float())
            self.register_buffer(f"window_{window}", torch.hann_window(window))

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
        hann = self.get_buffer(f"window_{window}")
        spectrum = torch.stft(sound, window, window // 4, window=hann, center=True, return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


class LowBand(nn.Module):
    """Difference of complex spectra below `LOW` Hz, as a share of what is there.

    Magnitudes of windows longer than a pitch period say nothing of when the glottis closes. A codec that is asked for
    them alone keeps no phase, and a convolutional decoder that is told the same in every frame can only repeat itself
    at multiples of the frame rate: whatever the voice, its pitch is lost. The fundamental and its first harmonics,
    phases included, are few bits and give it back.
    """

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.bins = int(LOW * LOW_WINDOW / rate)
        self.register_buffer("window", torch.hann_window(LOW_WINDOW))

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Of two batches of samples (B, N)."""
        one, other = self._spectrum(made), self._spectrum(real)
        apart = torch.view_as_real(one - other).square().sum(-1).add(1e-6).sqrt()
        return apart.mean() / (other.abs().mean() + 1e-3)

    def _spectrum(self, sound: Tensor) -> Tensor:
        """Complex (B, F, T) without the constant."""
        window = self.get_buffer("window")
        spectrum = torch.stft(sound, LOW_WINDOW, LOW_WINDOW // 4, window=window, return_complex=True)
        return spectrum[:, 1 : self.bins]
