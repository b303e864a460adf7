"""What the codec is trained on: half of it the base's own kind of clips, half any words in any sort of recording.

None of them is by a named speaker of the sample.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from parler_assets.sample.espeak import RATE as SPOKEN
from parler_assets.sample.espeak import Request, speak
from parler_assets.sample.plan import pretraining_clips, render
from parler_assets.sample.pretraining.latent import RATE
from parler_assets.sample.pretraining.processing import Recording
from parler_assets.speech.annotation.rate import lexicon
from parler_assets.speech.audio import resample

_BATCH = 100
_ACCENTS = ("en-us", "en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc")
_VARIANTS = {
    True: ("f1", "f3", "f5", "Annie", "Alicia", "anika", "aunty", "belinda", "linda", "steph", "Andrea", "grandma"),
    False: ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "adam", "boris", "ed", "michel", "Reed", "Lee", "Alex",
            "paul"),
}  # fmt: skip


def codec_clips(count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` clips, mono samples (N,) at the codec's rate; a clip is the same whatever the count."""
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        own = [number for number in numbers if number % 2 == 0]
        other = [number for number in numbers if number % 2]
        plan = pretraining_clips(numbers.stop, seed)
        sounds = dict(zip(own, render([plan[number] for number in own]), strict=True))
        sounds |= zip(other, _recorded(other, seed), strict=True)
        yield from (resample(sounds[number], SPOKEN, RATE).astype(np.float32) for number in numbers)


def _recorded(numbers: Sequence[int], seed: int) -> list[np.ndarray]:
    chosen = [random.Random(f"codec {seed} {number}") for number in numbers]
    female = [draw.random() < 0.5 for draw in chosen]
    spoken = speak([_request(draw, woman) for draw, woman in zip(chosen, female, strict=True)])
    made = []
    for number, woman, samples in zip(numbers, female, spoken, strict=True):
        draw = np.random.default_rng([seed, number])
        made.append(Recording.drawn(draw, woman).of(samples, draw))
    return made


def _request(draw: random.Random, female: bool) -> Request:
    """Three to nine words of the lexicon, as a statement or a question."""
    words = draw.sample(vocabulary(), draw.randint(3, 9))
    return Request(
        text=" ".join(words) + draw.choice(".?!"),
        voice=f"{draw.choice(_ACCENTS)}+{draw.choice(_VARIANTS[female])}",
        words_per_minute=draw.randint(110, 230),
        pitch=draw.randint(20, 70),
        pitch_range=draw.randint(20, 95),
        word_gap=draw.choice((0, 0, 0, 5, 10)),
    )


def vocabulary() -> list[str]:
    """Words of the lexicon that are letters alone, in its order."""
    return [word for word in lexicon() if word.isalpha() and word.isascii()]
