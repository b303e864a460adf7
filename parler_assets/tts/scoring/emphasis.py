"""Is a *marked* word emphasised? Words are placed in the clip, and compared by loudness, length and pitch.

Prominence of a word: the mean of three standard scores among the words of its clip, of its loudness, of its seconds per
letter and of its highest pitch, after the three correlates of stress (D. B. Fry, Language and Speech 1, 1958).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parler_assets.speech.audio import Clip
from parler_assets.tts.scoring.contour import pitch_contour
from parler_assets.tts.scoring.statistics import Outcome, proportion
from parler_assets.tts.scoring.words import words_of
from parler_assets.tts.synthesis.prompts import base_id


def prominence(clip: Clip, spans: Sequence[tuple[float, float]], words: Sequence[str]) -> list[float] | None:
    """One number a word, mean 0 over the clip's words; `spans` are (start, end) in seconds. None without Praat."""
    contour = pitch_contour(clip)
    if contour is None:
        return None
    parts = [_measured(clip, contour, *span, len(word)) for span, word in zip(spans, words, strict=True)]
    table = np.array(parts)
    deviation = table.std(axis=0)
    return ((table - table.mean(axis=0)) / np.where(deviation > 0, deviation, 1)).mean(axis=1).tolist()


def _measured(clip: Clip, contour: np.ndarray, start: float, end: float, letters: int) -> tuple[float, float, float]:
    """Loudness in dB, seconds per letter (of at least three), highest pitch in octaves above 60 Hz (0: unvoiced)."""
    samples = clip.samples[int(start * clip.rate) : max(int(end * clip.rate), int(start * clip.rate) + 1)]
    level = 10 * np.log10(float(np.mean(samples.astype(np.float64) ** 2)) + 1e-10) if len(samples) else -100.0
    voiced = [pitch for pitch in contour[int(start * 100) : int(end * 100) + 1] if pitch > 0]
    return level, (end - start) / max(3, letters), float(np.log2(np.percentile(voiced, 90) / 60)) if voiced else 0.0


def marked_place(text: str) -> int | None:
    """Which word of the text is marked; None where none is."""
    before, star, rest = text.partition("*")
    return len(words_of(before)) if star and "*" in rest else None


def emphasis_scores(system: str, rows: Sequence[Mapping]) -> list[Outcome]:
    """`emphasis_stands_out`: the marked word is more prominent than the mean of its clip's words.
    `emphasis_rises`: it is more prominent than the same word where it was not marked, same speaker and seed."""
    found = [(row, place) for row in rows if row.get("prominence") and (place := marked_place(row["text"])) is not None]
    placed = [(row, place) for row, place in found if place < len(row["prominence"])]
    plain = {_twin(row): row["prominence"] for row in rows if row.get("prominence") and "*" not in row["text"]}
    pairs = [
        row["prominence"][place] > plain[_twin(row)][place]
        for row, place in placed
        if len(plain.get(_twin(row), [])) == len(row["prominence"])
    ]
    scores = [proportion("emphasis_stands_out", system, [row["prominence"][place] > 0 for row, place in placed])]
    return scores if system in ("real", "copy") else [*scores, proportion("emphasis_rises", system, pairs)]


def _twin(row: Mapping) -> tuple:
    number = row["prompt"].removeprefix(base_id(row["prompt"]))
    return row["speaker"], row["style"], row["text"].replace("*", ""), row["kind"], number
