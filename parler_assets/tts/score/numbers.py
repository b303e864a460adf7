"""A score is a number with its 95 % interval and the count behind it.

Proportions: Wilson's interval (E. B. Wilson, JASA 22, 1927). Everything else: percentile bootstrap over samples. A
score that cannot be had is absent and named, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

REPEATS = 1000


@dataclass(frozen=True)
class Score:
    """`value` in [low, high] with 95 % confidence, from `n` samples of `system`."""

    metric: str
    system: str
    value: float
    low: float
    high: float
    n: int
    note: str = ""

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Missing:
    """A score that was not to be had, and why."""

    metric: str
    system: str
    reason: str


Outcome = Score | Missing


def proportion(metric: str, system: str, hits: Sequence[bool], note: str = "") -> Outcome:
    """Share of hits with Wilson's interval."""
    if not len(hits):
        return Missing(metric, system, "no sample to score")
    count, n = int(np.sum(hits)), len(hits)
    interval = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    return Score(metric, system, count / n, float(interval.low), float(interval.high), n, note)


def bootstrap(
    metric: str,
    system: str,
    rows: Sequence | np.ndarray,
    statistic: Callable[[np.ndarray], float],
    note: str = "",
    least: int = 2,
    seed: int = 0,
) -> Outcome:
    """`statistic` of `rows` (an array, first axis samples), resampled with replacement.

    Resamples in which the statistic does not exist (a correlation of equal values) are left out.
    """
    values = np.asarray(rows, dtype=float)
    if len(values) < least:
        return Missing(metric, system, f"{len(values)} samples, at least {least} are needed")
    value = statistic(values)
    if not np.isfinite(value):
        return Missing(metric, system, "not defined: the values do not vary")
    generator = np.random.default_rng(seed)
    drawn = [statistic(values[generator.integers(0, len(values), len(values))]) for _ in range(REPEATS)]
    finite = np.array(drawn)[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (value, value)
    return Score(metric, system, float(value), float(low), float(high), len(values), note)


def mean(metric: str, system: str, values: Sequence[float], note: str = "") -> Outcome:
    return bootstrap(metric, system, values, lambda drawn: float(np.mean(drawn)), note)


def correlation(values: np.ndarray) -> float:
    """Spearman's rank correlation of two columns (N, 2); NaN where one does not vary."""
    first, second = stats.rankdata(values[:, 0]), stats.rankdata(values[:, 1])
    return linear(np.stack([first, second], axis=1))


def linear(values: np.ndarray) -> float:
    """Pearson's correlation of two columns (N, 2); NaN where one does not vary."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0).prod())
    return float((centred[:, 0] * centred[:, 1]).sum() / spread) if spread > 1e-12 else float("nan")
