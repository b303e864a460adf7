"""From a synthesized voice to the variety that recordings have: formants, pitch, breath, room, microphone, loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import parselmouth
from parselmouth.praat import call, run
from scipy.ndimage import uniform_filter1d

from parler_assets.sample.espeak import RATE
from parler_assets.sample.room import add_noise, reverberate


@dataclass(frozen=True)
class Recording:
    """How a clip came to be heard. Ratios are factors; `pitch` in Hz (0: as spoken); strengths in dB."""

    formants: float
    pitch: float
    pitch_range: float
    breath: float  # of the noise below the voice
    tilt: float  # from the lowest to the highest band of the microphone
    ripple: float  # of its curve
    c50: float | None
    snr: float
    level: float  # root mean square of the whole

    @classmethod
    def drawn(cls, draw: np.random.Generator, female: bool) -> Recording:
        """A likely recording of a man's or a woman's voice."""
        low, high = (150, 330) if female else (75, 190)
        return cls(
            formants=float(draw.uniform(0.85, 1.2)),
            pitch=float(np.exp(draw.uniform(np.log(low), np.log(high)))),
            pitch_range=float(draw.uniform(0.5, 1.8)),
            breath=float(draw.uniform(8, 40)),
            tilt=float(draw.uniform(-8, 8)),
            ripple=float(draw.uniform(0, 5)),
            c50=float(draw.uniform(8, 40)) if draw.random() < 0.4 else None,
            snr=float(draw.uniform(15, 55)),
            level=float(10 ** draw.uniform(-1.9, -0.75)),
        )

    def of(self, samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Samples (N,) at espeak-ng's rate as this recording has them; the room adds a tail."""
        made = _voiced_anew(samples, self, int(draw.integers(1 << 30)))
        made = made + _breath(made, self.breath, draw)
        made = _microphone(made, self.tilt, self.ripple, draw)
        if self.c50 is not None:
            made = reverberate(made.astype(np.float32), self.c50, draw)
        made = made * (self.level / max(float(np.sqrt(np.mean(made**2))), 1e-6))
        return add_noise(np.clip(made, -1, 1).astype(np.float32), self.snr, draw)


def _voiced_anew(samples: np.ndarray, recording: Recording, seed: int) -> np.ndarray:
    """Formants and pitch moved by Praat's overlap-add; as they were where there is hardly a voice.

    Praat places the periods of unvoiced stretches at random: hence the seed.
    """
    run(f"random_initializeWithSeedUnsafelyButPredictably: {seed}")
    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    if not (sound.to_pitch(pitch_floor=60, pitch_ceiling=600).selected_array["frequency"] > 0).any():
        return samples.astype(np.float64)
    settings = 60, 600, recording.formants, recording.pitch, recording.pitch_range, 1.0
    try:
        return call(sound, "Change gender", *settings).values[0]
    except parselmouth.PraatError:  # too few voiced frames for a median of the pitch
        return samples.astype(np.float64)


def _breath(samples: np.ndarray, below: float, draw: np.random.Generator) -> np.ndarray:
    """Noise with the loudness of the voice, `below` dB less, its spectrum falling slowly."""
    loudness = np.sqrt(np.maximum(uniform_filter1d(samples**2, RATE // 100), 0))
    noise = uniform_filter1d(draw.standard_normal(len(samples)), 3)
    return noise * loudness * 10 ** (-below / 20)


def _microphone(samples: np.ndarray, tilt: float, ripple: float, draw: np.random.Generator) -> np.ndarray:
    """Through a smooth random frequency response with a tilt, both in dB."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 60) / 60)
    knots = np.linspace(0, octaves[-1], 8)
    curve = np.interp(octaves, knots, draw.normal(0, ripple, len(knots)) + tilt * (knots / knots[-1] - 0.5))
    return np.fft.irfft(spectrum * 10 ** (curve / 20), len(samples))
