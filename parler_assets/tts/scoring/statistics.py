"""A score is a number with its 95 % interval and the count behind it.

Proportions: Wilson's interval (E. B. Wilson, JASA 22, 1927). Everything else: percentile bootstrap over samples. A
score that is unavailable is absent and named, never zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

REPEATS = 1000
AT_ONCE = 200_000  # rows of resamples in memory together
Statistic = Callable[..., np.ndarray]


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
    """A score that is unavailable, and why."""

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
    statistic: Statistic,
    note: str = "",
    least: int = 2,
    seed: int = 0,
) -> Outcome:
    """`statistic` of `rows`, (N,) or (N, columns), resampled with replacement.

    The statistic takes each column, (N,) or (R, N) for many resamples at once, and `axis`. Resamples in which it does
    not exist (a correlation of equal values) are left out.
    """
    values = np.asarray(rows, dtype=float)
    N = len(values)
    if least > N:
        return Missing(metric, system, f"{N} samples, at least {least} are needed")
    columns = tuple(values.reshape(N, -1).T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)  # of values that do not vary: see below
        value = float(statistic(*columns, axis=-1))
        if not np.isfinite(value):
            return Missing(metric, system, "not defined: the values do not vary")
        drawn = stats.bootstrap(
            columns,
            statistic,
            n_resamples=REPEATS,
            batch=max(1, AT_ONCE // N),
            vectorized=True,
            paired=len(columns) > 1,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    finite = drawn[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (value, value)
    return Score(metric, system, value, float(low), float(high), N, note)


def mean(metric: str, system: str, values: Sequence[float], note: str = "") -> Outcome:
    return bootstrap(metric, system, values, np.mean, note)


def pearson(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Linear correlation; NaN where one does not vary."""
    return stats.pearsonr(first, second, axis=axis).statistic


def spearman(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Rank correlation, equal values sharing their mean rank; NaN where one does not vary."""
    return pearson(stats.rankdata(first, axis=axis), stats.rankdata(second, axis=axis), axis)


def ratio(parts: np.ndarray, wholes: np.ndarray, axis: int = -1) -> np.ndarray:
    """Sum of the parts over that of the wholes, such as errors over words."""
    return parts.sum(axis=axis) / wholes.sum(axis=axis)
