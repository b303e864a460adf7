"""Fit the constants of `speech/annotation/classical.py` on synthesized speech with known noise and rooms.

    python benchmarks/fit_classical.py [--clips 240]

Voices and sentences are not those of the sample recipe. Every clip gets a room (direct sound and an exponential tail),
so its true C50 is computed from the impulse response, then noise (white, pink or babble) at a true SNR over its speech.
Prints correlation and mean error on voices that were kept out of the fit, and writes `classical.json`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from pathlib import Path

import espeakng_loader
import numpy as np
from scipy.signal import fftconvolve

from parler_assets.speech.annotation import classical
from parler_assets.speech.audio import resample

TARGET = Path(classical.__file__).with_name("classical.json")
VOICES = [f"en-us+{name}" for name in ("m1", "m2", "m4", "m6", "m8", "f1", "f3", "f4", "f5", "Andrea")]
SENTENCES = (
    "The ferry leaves at noon, and nobody on the quay believes it will come back before the storm.",
    "Seven grey geese flew low over the frozen field.",
    "If you mend the clock, wind it slowly; otherwise, leave it as it was.",
    "My uncle grows apricots, plums and a single stubborn fig tree.",
    "Please read the second chapter again. It says less than it seems to.",
    "Rain fell. The street was empty. A door closed somewhere above us.",
)
C50_CAP = 30.0  # above this a room is not heard in short clips


class Speaker:
    """espeak-ng through its shared library."""

    def __init__(self) -> None:
        self.engine = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self.engine.espeak_Initialize(2, 0, str(espeakng_loader.get_data_path()).encode(), 0)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback, self.pieces = kind(self._take), []
        self.engine.espeak_SetSynthCallback(self.callback)

    def _take(self, samples, count, _events) -> int:
        if samples and count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        return 0

    def say(self, text: str, voice: str, rate: int) -> np.ndarray:
        """Mono samples (N,) at 16 kHz."""
        self.pieces = []
        self.engine.espeak_SetVoiceByName(voice.encode())
        self.engine.espeak_SetParameter(1, rate, 0)
        data = text.encode() + b"\0"
        self.engine.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
        return resample(np.concatenate(self.pieces), self.rate, classical.RATE)


def impulse_response(generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """A room (N,) at 16 kHz and its C50 in dB: energy of the first 50 ms over the rest."""
    decay, direct = generator.uniform(0.08, 1.4), 10 ** (generator.uniform(-5, 20) / 20)
    time = np.arange(int(1.2 * decay * classical.RATE)) / classical.RATE
    tail = generator.normal(size=len(time)) * 10 ** (-3 * time / decay)
    response = tail / np.sqrt((tail**2).sum())
    response[0] += direct
    early = int(0.05 * classical.RATE)
    late = max((response[early:] ** 2).sum(), 1e-12)
    return response, float(10 * np.log10((response[:early] ** 2).sum() / late))


def noise(kind: str, length: int, generator: np.random.Generator, babble: np.ndarray) -> np.ndarray:
    if kind == "babble":
        return np.roll(babble, int(generator.integers(len(babble))))[:length]
    white = generator.normal(size=length)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white) / np.sqrt(np.maximum(np.arange(length // 2 + 1), 1))
    return np.fft.irfft(spectrum, length)


def mixed(speech: np.ndarray, added: np.ndarray, decibels: float) -> np.ndarray:
    """Speech with noise at an SNR measured over the frames in which somebody speaks."""
    energy = classical.decibels(classical.power_spectra(speech).sum(axis=1))
    level = np.mean(10 ** (energy[classical.speech_frames(energy)] / 10))
    return speech + added * np.sqrt(level / np.mean(added**2) / 10 ** (decibels / 10))


def make_clips(count: int, seed: int = 11) -> list[dict]:
    """Clips with `snr`, `c50` (dB), whether they have pauses, and the number of the voice."""
    generator, speaker, clips = np.random.default_rng(seed), Speaker(), []
    clean = {
        voice: [speaker.say(text, voice, int(generator.integers(120, 240))) for text in SENTENCES] for voice in VOICES
    }
    length = 12 * classical.RATE
    babble = sum(np.resize(np.concatenate(clean[voice]), length) for voice in VOICES[:8])
    for number in range(count):
        voice = number % len(VOICES)
        dry = clean[VOICES[voice]][int(generator.integers(len(SENTENCES)))]
        response, clarity = impulse_response(generator) if generator.random() < 0.8 else (np.ones(1), 60.0)
        wet = fftconvolve(dry, response)[: len(dry)]
        paused = bool(generator.random() < 0.7)
        pad = np.zeros(int(generator.uniform(0.1, 0.4) * classical.RATE) if paused else 0)
        wet = np.concatenate([pad, wet, pad])
        decibels = generator.uniform(0, 60)
        kind = ("white", "pink", "babble")[number % 3] if decibels < 40 else "pink"
        samples = mixed(wet / np.abs(wet).max() * 0.5, noise(kind, len(wet), generator, babble), decibels)
        clips.append(
            {"samples": samples.astype(np.float32), "snr": decibels, "c50": min(clarity, C50_CAP), "voice": voice}
        )
    return clips


def wada_table(seed: int = 5) -> dict:
    """Shape of the amplitude distribution by SNR: gamma(0.4) speech in Gaussian noise, by drawing a million samples."""
    generator, steps = np.random.default_rng(seed), np.arange(-20.0, 82.0, 2.0)
    speech = generator.gamma(0.4, size=1_000_000) * generator.choice([-1.0, 1.0], 1_000_000)
    speech /= np.sqrt(np.mean(speech**2))
    gauss = generator.normal(size=1_000_000)
    shapes = []
    for decibels in steps:
        amplitude = np.abs(speech + gauss * 10 ** (-decibels / 20))
        shapes.append(np.log(amplitude.mean()) - np.log(np.maximum(amplitude, 1e-12)).mean())
    shapes = np.maximum.accumulate(shapes)
    return {"snr": [float(value) for value in steps], "shape": [round(float(value), 5) for value in shapes]}


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope, offset = np.polyfit(x, y, 1)
    return round(float(slope), 4), round(float(offset), 4)


def score(name: str, estimate: np.ndarray, truth: np.ndarray) -> None:
    correlation = np.corrcoef(estimate, truth)[0, 1]
    print(f"{name:<14} r {correlation:.3f}   mean error {np.abs(estimate - truth).mean():.2f} dB   n {len(truth)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=240)
    clips = make_clips(parser.parse_args().clips)
    fitted = {"wada": wada_table(), "snr": {"pause_spread": 4.0}}
    classical.constants = lambda: fitted  # type: ignore[assignment]
    spectra = [classical.power_spectra(clip["samples"]) for clip in clips]
    energy = [classical.decibels(spectrum.sum(axis=1)) for spectrum in spectra]
    truth, kept_out = np.array([clip["snr"] for clip in clips]), np.array([clip["voice"] >= 7 for clip in clips])
    range_ = np.array([np.subtract(*np.percentile(frames, (95, 8))) for frames in energy])
    shape = np.array([classical.wada(clip["samples"]) for clip in clips])
    paused = np.array([classical.has_pauses(frames) for frames in energy])
    slope, offset = line(range_[paused & ~kept_out], truth[paused & ~kept_out])
    wada_slope, wada_offset = line(shape[~paused & ~kept_out], truth[~paused & ~kept_out])
    fitted["snr"] |= {"slope": slope, "offset": offset, "wada_slope": wada_slope, "wada_offset": wada_offset}
    estimate = np.array([classical.snr(clip["samples"], frames) for clip, frames in zip(clips, energy, strict=True)])
    marks = np.stack([classical.features(*pair) for pair in zip(spectra, estimate, strict=True)])
    clarity = np.array([clip["c50"] for clip in clips])
    fitted["c50"] = ridge(marks[~kept_out], clarity[~kept_out])
    score("SNR, pauses", estimate[kept_out & paused], truth[kept_out & paused])
    score("SNR, none", estimate[kept_out & ~paused], truth[kept_out & ~paused])
    quiet = kept_out & (truth > 25)
    score("C50", classical.c50(marks[kept_out]), clarity[kept_out])
    score("C50, SNR > 25", classical.c50(marks[quiet]), clarity[quiet])
    TARGET.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")


def ridge(marks: np.ndarray, clarity: np.ndarray, strength: float = 1.0) -> dict:
    mean, scale = marks.mean(axis=0), marks.std(axis=0)
    scaled = (marks - mean) / scale
    weights = np.linalg.solve(
        scaled.T @ scaled + strength * np.eye(marks.shape[1]), scaled.T @ (clarity - clarity.mean())
    )
    return {
        "mean": [round(float(value), 4) for value in mean],
        "scale": [round(float(value), 4) for value in scale],
        "weights": [round(float(value), 4) for value in weights],
        "offset": round(float(clarity.mean()), 4),
        "range": [-10.0, C50_CAP + 10],
    }


if __name__ == "__main__":
    main()
