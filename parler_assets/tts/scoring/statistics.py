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
AT_ONCE = 200_000  # rows of resamples in memory together


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
    statistic: Callable[[np.ndarray], np.ndarray],
    note: str = "",
    least: int = 2,
    seed: int = 0,
) -> Outcome:
    """`statistic` of `rows` (an array, first axis samples), resampled with replacement.

    The statistic is given many resamples at once, (R, N) or (R, N, columns), and gives one number for each. Resamples
    in which it does not exist (a correlation of equal values) are left out.
    """
    values = np.asarray(rows, dtype=float)
    N = len(values)
    if least > N:
        return Missing(metric, system, f"{N} samples, at least {least} are needed")
    value = float(statistic(values[None])[0])
    if not np.isfinite(value):
        return Missing(metric, system, "not defined: the values do not vary")
    generator, size = np.random.default_rng(seed), max(1, AT_ONCE // N)
    sizes = [min(size, REPEATS - start) for start in range(0, REPEATS, size)]
    drawn = np.concatenate([statistic(values[generator.integers(0, N, (R, N))]) for R in sizes])
    finite = drawn[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (value, value)
    return Score(metric, system, value, float(low), float(high), N, note)


def mean(metric: str, system: str, values: Sequence[float], note: str = "") -> Outcome:
    return bootstrap(metric, system, values, lambda drawn: drawn.mean(axis=1), note)


def correlation(values: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation (R,) of two columns (R, N, 2); NaN where one does not vary."""
    return linear(np.stack([ranks(values[..., 0]), ranks(values[..., 1])], axis=-1))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 in each row of (R, N), equal values sharing the mean of theirs."""
    R = len(values)
    kinds, codes = np.unique(values, return_inverse=True)
    places = codes.reshape(values.shape) + len(kinds) * np.arange(R)[:, None]
    counts = np.bincount(places.ravel(), minlength=R * len(kinds)).reshape(R, len(kinds))
    shared = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return shared.ravel()[places]


def linear(values: np.ndarray) -> np.ndarray:
    """Pearson's correlation (R,) of two columns (R, N, 2); NaN where one does not vary."""
    centred = values - values.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=1).prod(axis=-1))
    return np.where(spread > 1e-12, (centred[..., 0] * centred[..., 1]).sum(axis=1) / np.maximum(spread, 1e-12), np.nan)
