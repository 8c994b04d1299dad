"""A value with its 95 % interval: closed forms where they are known, the bootstrap where they are not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054

Scores = NDArray[np.float64]
Labels = NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(n_successes: int, n_trials: int) -> Estimate:
    """Return a share with its Wilson score interval.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    from scipy.stats import binomtest

    interval = binomtest(n_successes, n_trials).proportion_ci(0.95, method="wilson")
    return Estimate(n_successes / n_trials, float(interval.low), float(interval.high))


def mean_interval(values: Scores) -> Estimate:
    """Return the mean of independent values, shape (n,), n >= 1, with its normal interval."""
    return normal_interval(float(values.mean()), _variance(values) / len(values))


def normal_interval(value: float, variance: float) -> Estimate:
    """Return a value with the normal interval of an estimator of that variance."""
    half = Z_95 * float(np.sqrt(variance))
    return Estimate(value, value - half, value + half)


def clipped(estimate: Estimate) -> Estimate:
    """Return the interval of a quantity that can not leave 0 to 1."""
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))


def delong_interval(scores: Scores, labels: Labels) -> Estimate:
    """Return the area under the ROC curve with its DeLong interval, clipped to 0 to 1.

    Args:
        scores: Shape (n_rows,).
        labels: Shape (n_rows,), both classes present.

    Source:
        DeLong, DeLong, Clarke-Pearson (1988); computed from mid-ranks as in Sun, Xu (2014).
    """
    return clipped(_area_interval(*_placements(scores, labels)))


def delong_difference(one: Scores, other: Scores, labels: Labels) -> Estimate:
    """Return the difference of two areas under the ROC curve on the same rows, by DeLong's covariance.

    Args:
        one: Scores, shape (n_rows,).
        other: Scores of the same rows, subtracted.
        labels: Shape (n_rows,), both classes present.
    """
    new, old = _placements(one, labels), _placements(other, labels)
    return _area_interval(new[0] - old[0], new[1] - old[1])


def _placements(scores: Scores, labels: Labels) -> tuple[Scores, Scores]:
    """Return the share of negatives under each positive, and of positives above each negative, ties half."""
    from scipy.stats import rankdata

    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def _area_interval(positive: Scores, negative: Scores) -> Estimate:
    return normal_interval(
        float(positive.mean()), _variance(positive) / len(positive) + _variance(negative) / len(negative)
    )


def _variance(values: Scores) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
