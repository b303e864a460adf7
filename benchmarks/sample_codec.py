"""How well the sample's codec keeps speakers it never heard: `python -m benchmarks.sample_codec [CHECKPOINT ...]`.

Copies of 64 clips of the four named speakers in all styles, beside the clips themselves: STOI and extended STOI
(pystoi), voiced frames within a semitone, gender by mean pitch (both without whispers), words wrong to the recogniser
with the sample's grammar. A folder is a checkpoint's or a codec's own. `--clips DIR` takes recordings (any format that
soundfile reads) in place of the named speakers, at the loudness of the sample; they have no words and no gender.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import parselmouth
from pystoi import stoi

from parler_assets.sample import base_path
from parler_assets.sample.espeak import RATE
from parler_assets.sample.plan import PlannedClip, named_clips, render
from parler_assets.sample.sentences import sentences
from parler_assets.speech.audio import Clip, decode, resample
from parler_assets.speech.codec.codec import load_codec
from parler_assets.tts.scoring.adherence import BETWEEN_GENDERS
from parler_assets.tts.scoring.asr import GrammarAsr
from parler_assets.tts.scoring.words import errors_of

CLIPS = 64
LOUDNESS = 0.12  # root mean square of the loud samples
_SEMITONE = 1 / 12  # octaves


@dataclass(frozen=True)
class Original:
    """A clip at the codec's rate, and what is known of it."""

    samples: np.ndarray
    plan: PlannedClip | None = None

    @property
    def pitched(self) -> bool:
        return self.plan is None or self.plan.style != "whisper"


def pitch_of(samples: np.ndarray, rate: int) -> np.ndarray:
    """Hz every 10 ms, 0 where unvoiced."""
    sound = parselmouth.Sound(samples.astype(np.float64), rate)
    return sound.to_pitch_ac(time_step=0.01, pitch_floor=60, pitch_ceiling=600).selected_array["frequency"]


def within_a_semitone(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the frames voiced in the first that the second has at the same pitch."""
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    voiced = one > 0
    octaves = np.abs(np.log2(np.maximum(other, 1) / np.maximum(one, 1)))
    return float(((other > 0) & (octaves < _SEMITONE))[voiced].mean()) if voiced.sum() >= 5 else float("nan")


def scores(originals: Sequence[Original], copies: Sequence[np.ndarray], rate: int) -> dict[str, float]:
    found: dict[str, list[float]] = {"STOI": [], "ESTOI": [], "semitone": [], "gender": []}
    for original, copy in zip(originals, copies, strict=True):
        size = min(len(original.samples), len(copy))
        pair = original.samples[:size], copy[:size]
        found["STOI"].append(float(stoi(*pair, rate)))
        found["ESTOI"].append(float(stoi(*pair, rate, extended=True)))
        if original.pitched:
            real, made = (pitch_of(sound, rate) for sound in pair)
            found["semitone"].append(within_a_semitone(real, made))
            if original.plan:
                mean = made[made > 0].mean() if (made > 0).sum() >= 5 else 0.0
                found["gender"].append(float((mean > BETWEEN_GENDERS) == (original.plan.gender == "female")))
    return {name: float(np.nanmean(values)) for name, values in found.items() if values}


def words_wrong(originals: Sequence[Original], copies: Sequence[np.ndarray], rate: int) -> float:
    texts = [original.plan.text.replace("*", "") for original in originals if original.plan]
    if not texts:
        return float("nan")
    asr = GrammarAsr([*texts, *sentences(300, 1)])
    heard = [errors_of(t, asr.transcribe(Clip(c.astype(np.float32), rate))) for t, c in zip(texts, copies, strict=True)]
    return sum(one["word_errors"] for one in heard) / sum(one["words"] for one in heard)


def named(rate: int) -> list[Original]:
    clips = named_clips(CLIPS, seed=99)
    return [Original(resample(s, RATE, rate).astype(np.float32), c) for s, c in zip(render(clips), clips, strict=True)]


def recorded(folder: Path, rate: int) -> list[Original]:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".wav", ".flac", ".ogg", ".mp3"))
    found = []
    for file in files[:: max(len(files) // 20, 1)][:20]:
        samples = decode(file.read_bytes()).at(rate).samples
        loud = np.abs(samples) > 0.02 * np.abs(samples).max()
        found.append(Original(samples * (LOUDNESS / max(float(np.sqrt(np.mean(samples[loud] ** 2))), 1e-4))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*", default=[base_path()])
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--plot", type=Path, help="draw spectrograms of one clip and its copies")
    given = parser.parse_args()
    shown: dict[str, np.ndarray] = {}
    for number, folder in enumerate(given.checkpoints):
        codec = load_codec(folder)
        rate = codec.sampling_rate
        originals = recorded(given.clips, rate) if given.clips else named(rate)
        sounds = [original.samples for original in originals]
        systems = {} if number else {"the clips": sounds}
        for name, copies in (systems | {folder.name: codec.decode(codec.encode(sounds))}).items():
            found = scores(originals, copies, rate) | {"words wrong": words_wrong(originals, copies, rate)}
            print(f"{name:16} " + "  ".join(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
            shown[name] = copies[0]
    if given.plot:
        draw(shown, rate, given.plot)


def draw(sounds: dict[str, np.ndarray], rate: int, path: Path) -> None:
    """Spectrograms below 4 kHz, one beside the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sounds), figsize=(4 * len(sounds), 3), sharey=True, layout="constrained")
    for axis, (name, samples) in zip(np.atleast_1d(axes), sounds.items(), strict=True):
        axis.specgram(samples + 1e-6, NFFT=640, noverlap=560, Fs=rate, vmin=-130, vmax=-40, cmap="magma")
        axis.set(title=name, ylim=(0, 4000), xlabel="s")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
