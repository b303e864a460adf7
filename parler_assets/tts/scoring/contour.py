"""A pitch contour over time, for pictures and for the prominence of words, by Praat."""

from __future__ import annotations

import numpy as np

from parler_assets.speech.annotation.praat import HIGHEST, LOWEST, STEP, AnnotatorError, Praat
from parler_assets.speech.audio import Clip

PITCHES = (LOWEST, HIGHEST)  # Hz that are looked for
LEAST_SECONDS = 3 / LOWEST + STEP  # Praat's window is three periods of the lowest pitch


def pitch_contour(clip: Clip) -> np.ndarray | None:
    """Hz every 10 ms from the start on (T,), 0 where unvoiced; None where Praat is not installed."""
    try:
        praat = Praat()
    except AnnotatorError:
        return None
    contour = np.zeros(max(1, round(clip.seconds / STEP)))
    if clip.seconds < LEAST_SECONDS:
        return contour
    track = praat.track(clip)[: len(contour)]
    first = (len(contour) - len(track)) // 2  # its frames lie in the middle
    contour[first : first + len(track)] = track
    return contour
