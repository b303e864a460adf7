"""A small picture of a clip: its spectrogram with the pitch contour drawn over it."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image
from scipy.signal import stft

from parler_assets.speech.audio import Clip
from parler_assets.tts.scoring.contour import PITCHES, pitch_contour

WIDTH, HEIGHT = 280, 88
CEILING = 5500.0  # Hz shown
CONTOUR = (120, 255, 210)
PALETTE = (colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)  # (256, 3)


def picture(clip: Clip) -> str:
    """A data URI of a WebP image, time left to right, 0 to 5.5 kHz; the contour runs from 60 to 600 Hz."""
    level = spectrogram(clip)
    pixels = PALETTE[np.minimum((level * len(PALETTE)).astype(int), len(PALETTE) - 1)]
    low, high = PITCHES
    contour = pitch_contour(clip)
    for column, pitch in enumerate(_resized(contour, WIDTH) if contour is not None else ()):
        if pitch > 0:
            row = int((1 - np.log(pitch / low) / np.log(high / low)) * (HEIGHT - 3)) + 1
            pixels[max(0, row - 1) : row + 1, column] = CONTOUR
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=55, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def spectrogram(clip: Clip) -> np.ndarray:
    """Levels in [0, 1], (HEIGHT, WIDTH), top row the highest frequency, 55 dB below the loudest point black."""
    samples = np.pad(clip.samples, (0, max(0, 512 - len(clip.samples))))
    hop = max(64, len(samples) // WIDTH)
    window = max(512, 2 * hop)
    frequencies, _, spectrum = stft(samples, clip.rate, nperseg=512, noverlap=512 - min(hop, 256), nfft=window)
    decibels = 20 * np.log10(np.abs(spectrum[frequencies <= CEILING]) + 1e-6)
    shown = np.clip((decibels - max(decibels.max(), -40) + 55) / 55, 0, 1)
    rows = np.linspace(shown.shape[0] - 1, 0, HEIGHT).astype(int)
    columns = np.linspace(0, shown.shape[1] - 1, WIDTH).astype(int)
    return shown[rows][:, columns]


def _resized(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, count).astype(int)]
