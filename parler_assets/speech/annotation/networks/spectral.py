"""Convolution by multiplication of spectra on a CPU.

A kernel of 32 taps costs a fraction of its multiplications in the frequency domain. What is left there are products
with fixed matrices, one a frequency.
"""

from __future__ import annotations

import torch
from torch.fft import irfft, rfft

FEW = 70  # samples up to which an inverse transform is cheaper as a product with its matrix


class FixedProduct:
    """Products of matrices with fixed ones: (F, M, C) times each of `matrices` (F, O, C) transposed is (F, M, O)."""

    def __init__(self, matrices: torch.Tensor) -> None:
        self.matrices = matrices.transpose(1, 2).contiguous()

    def __call__(self, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Write the products into `out`, its parts (M, O) in any shape, and give it back."""
        return out.copy_(torch.bmm(rows, self.matrices).view_as(out))


class SpectralKernels:
    """Kernels (O, C, K) that convolve, as torch does without flipping them, in tiles of `size` samples."""

    def __init__(self, kernels: torch.Tensor, size: int) -> None:
        (outputs, C, taps), self.size = kernels.shape, size
        spectra = rfft(kernels, size).conj().permute(2, 0, 1)
        # A complex number times another is a 2 x 2 matrix times a pair. Those of inputs lie side by side, as in memory.
        matrices = torch.empty(len(spectra), 2, outputs, C, 2)
        matrices[:, 0, :, :, 0], matrices[:, 0, :, :, 1] = spectra.real, -spectra.imag
        matrices[:, 1, :, :, 0], matrices[:, 1, :, :, 1] = spectra.imag, spectra.real
        self.product = FixedProduct(matrices.reshape(-1, 2 * outputs, 2 * C))
        self.lost, self.outputs = taps - 1, outputs
        self.inverse = _inverse(size)

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        """Signals (B, C, L) of at most `size` samples to (B, O, L - K + 1)."""
        return self.back(rfft(signal, self.size).permute(2, 0, 1).contiguous(), signal.shape[2] - self.lost)

    def back(self, spectra: torch.Tensor, wanted: int) -> torch.Tensor:
        """Spectra (F, M, C) of signals to `wanted` samples of what the kernels make of them, (M, O, wanted)."""
        F, M, _ = spectra.shape
        found = torch.empty(F, 2, M, self.outputs)
        self.product(torch.view_as_real(spectra).flatten(2), found.transpose(1, 2))
        if wanted > FEW:
            return irfft(torch.complex(found[:, 0], found[:, 1]), self.size, dim=0)[:wanted].permute(1, 2, 0)
        samples = self.inverse[:wanted] @ found.view(2 * F, -1)
        return samples.view(wanted, M, self.outputs).permute(1, 2, 0)


def _inverse(size: int) -> torch.Tensor:
    """The inverse transform (size, F * 2) of real signals, from real and imaginary parts."""
    return irfft(torch.view_as_complex(torch.eye(2 * (size // 2 + 1)).view(-1, size // 2 + 1, 2)), size).T
