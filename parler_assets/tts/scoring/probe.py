"""Who speaks, in which style? A probe trained on real clips that went through the codec, judged on other real ones.

Where enough clips are held out it learns from held-out ones that the samples are not compared with, so that a model
that recites its training clips is not flattered; otherwise from training clips, and the score's note says so. It knows
these speakers and styles only, and hears everything through the codec, so that it cannot tell generated from recorded
speech by the codec's colour. Its score on real and copied held-out clips is the ceiling to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from parler_assets.tts.scoring.statistics import Missing, Outcome, proportion

LEAST = 3  # clips of a class, below which it cannot be learnt


class Probe:
    """A classifier of one attribute (`speaker` or `style`)."""

    def __init__(self, attribute: str, features: np.ndarray, labels: Sequence[str | None], source: str = "") -> None:
        self.attribute, self.source = attribute, source
        given = np.array([label or "" for label in labels])
        names, counts = np.unique(given, return_counts=True)
        self.classes = [str(name) for name, count in zip(names, counts, strict=True) if name and count >= LEAST]
        chosen = np.isin(given, self.classes)
        self.model: Pipeline | None = None
        if len(self.classes) > 1:
            self.model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
            self.model.fit(features[chosen], given[chosen])

    @property
    def unavailable(self) -> str:
        """Why there was nothing to tell apart, or nothing."""
        return "" if self.model else f"fewer than two {self.attribute}s with {LEAST} training clips each"

    @property
    def chance(self) -> float:
        return 1 / max(1, len(self.classes))

    def predict(self, features: np.ndarray) -> list[str | None]:
        """The most probable class of each row of features (N, F)."""
        if self.model is None or not len(features):
            return [None] * len(features)
        return [str(name) for name in self.model.predict(features)]

    def probability(self, features: np.ndarray, asked: Sequence[str]) -> np.ndarray:
        """Probability (N,) that a probe that has learnt gives the class asked for; only of its own classes."""
        if self.model is None:
            raise ValueError(self.unavailable)
        probs = self.model.predict_proba(features)
        places = [list(self.model.classes_).index(name) for name in asked]
        return probs[np.arange(len(places)), places]

    def score(self, system: str, asked: Sequence[str | None], predicted: Sequence[str | None]) -> Outcome:
        metric = f"{self.attribute}_probe"
        if self.unavailable:
            return Missing(metric, system, self.unavailable)
        pairs = [(a, p) for a, p in zip(asked, predicted, strict=True) if a in self.classes]
        learnt = f", learnt from {self.source}" if self.source else ""
        note = f"{len(self.classes)} classes, chance {self.chance:.2f}{learnt}"
        return proportion(metric, system, [a == p for a, p in pairs], note)
