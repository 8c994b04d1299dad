"""A value with its 95 % interval: closed forms where they are known, the bootstrap where they are not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
_ADDED_ROWS = 4

Scores = NDArray[np.float64]
Labels = NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(n_successes: int, n_trials: int) -> Estimate:
    """Return a share with its Wilson score interval."""
    return share_interval(n_successes / n_trials, n_trials)


def share_interval(value: float, n_rows: float) -> Estimate:
    """Return a mean of values from 0 to 1 with the Wilson score interval of that many rows, whole or not.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference; with an effective number
        of rows as in Kott, Carr (1997), Developing an estimation strategy for a pesticide data program.
    """
    shrinking = 1 + Z_95**2 / n_rows
    middle = (value + Z_95**2 / (2 * n_rows)) / shrinking
    half = Z_95 / shrinking * float(np.sqrt(value * (1 - value) / n_rows + Z_95**2 / (4 * n_rows**2)))
    return clipped(Estimate(value, middle - half, middle + half))


def effective_rows(n_rows: int, spread: float) -> float:
    """Return how many yes-or-no rows say as much about a mean as these rows do.

    Args:
        n_rows: Rows that values from 0 to 1 were measured on.
        spread: Their variance in shares of the largest that their mean allows, 0 to 1. A few rows know it badly, and
            one knows nothing of it: four rows of the largest variance are added.

    Source:
        That p (1 - p) is the largest variance of values from 0 to 1 with mean p is Bhatia, Davis (2000), A better bound
        on the variance. Four rows are Wilson's; simulated intervals of the area under the ROC curve then hold the truth
        in 92 % or more, from one positive on (`tests/core/test_intervals.py`).
    """
    return n_rows * (n_rows - 1 + _ADDED_ROWS) / ((n_rows - 1) * spread + _ADDED_ROWS)


def f1_interval(f1: float, n_rows: int) -> Estimate:
    """Return F1 with its interval.

    With the share J of true positives among the rows that have a positive label or a positive answer, F1 is
    2 J / (1 + J), which rises with J: its interval is that of J, by Wilson.

    Args:
        f1: As measured, 0 to 1.
        n_rows: How many rows have a positive label or a positive answer, >= 1.
    """
    share = share_interval(f1 / (2 - f1), n_rows)
    return Estimate(f1, 2 * share.low / (1 + share.low), 2 * share.high / (1 + share.high))


def mean_interval(values: Scores, *, low: float, high: float) -> Estimate:
    """Return the mean of independent values with its t interval; one value has the whole range.

    Args:
        values: Shape (n,), n >= 1.
        low: The least value that there can be.
        high: The greatest.
    """
    if len(values) == 1:
        return Estimate(float(values[0]), low, high)
    interval = normal_interval(float(values.mean()), _variance_of_mean(values), degrees_of_freedom=len(values) - 1)
    return clipped(interval, low=low, high=high)


def normal_interval(value: float, variance: float, *, degrees_of_freedom: float = np.inf) -> Estimate:
    """Return a value with the interval of a normal estimator of that variance; Student's t where it is estimated."""
    from scipy.special import stdtrit

    half = float(stdtrit(degrees_of_freedom, 0.975) * np.sqrt(variance))
    return Estimate(value, value - half, value + half)


def clipped(estimate: Estimate, *, low: float = 0.0, high: float = 1.0) -> Estimate:
    """Return the interval of a quantity that can not leave a range; rounding never leaves the value outside."""
    value = estimate.value
    return Estimate(value, min(value, max(low, estimate.low)), max(value, min(high, estimate.high)))


def delong_interval(scores: Scores, labels: Labels) -> Estimate:
    """Return the area under the ROC curve with an interval by DeLong's variance.

    The variance gives the rows that the area is worth, and these Wilson's interval: it is neither empty at an area of 1
    nor too narrow where one class has few rows.

    Args:
        scores: Shape (n_rows,).
        labels: Shape (n_rows,), both classes present.

    Source:
        DeLong, DeLong, Clarke-Pearson (1988); computed from mid-ranks as in Sun, Xu (2014).
    """
    sides = _placements(scores, labels)
    area = float(sides[0].mean())
    largest = area * (1 - area)
    spreads = [float(side.var(ddof=1)) / largest if largest and len(side) > 1 else 0.0 for side in sides]
    rows = [effective_rows(len(side), spread) for side, spread in zip(sides, spreads, strict=True)]
    return share_interval(area, 1 / sum(1 / n for n in rows))


def delong_difference(one: Scores, other: Scores, labels: Labels) -> Estimate:
    """Return the difference of two areas under the ROC curve on the same rows, by DeLong's covariance.

    Args:
        one: Scores, shape (n_rows,).
        other: Scores of the same rows, subtracted.
        labels: Shape (n_rows,), both classes present.

    Returns:
        With Welch's t interval; -1 to 1 where a class has one row.

    Source:
        As `delong_interval`; Welch (1947), The generalization of Student's problem.
    """
    new, old = _placements(one, labels), _placements(other, labels)
    sides = [new[0] - old[0], new[1] - old[1]]
    value = float(sides[0].mean())
    if min(map(len, sides)) == 1:
        return Estimate(value, -1.0, 1.0)
    variances = [_variance_of_mean(side) for side in sides]
    total = sum(variances)
    inverse = sum((v / total) ** 2 / (len(side) - 1) for v, side in zip(variances, sides, strict=True)) if total else 0
    degrees_of_freedom = 1 / inverse if inverse else np.inf
    return clipped(normal_interval(value, total, degrees_of_freedom=degrees_of_freedom), low=-1.0)


def _placements(scores: Scores, labels: Labels) -> tuple[Scores, Scores]:
    """Return the share of negatives under each positive, and of positives above each negative, ties half."""
    from scipy.stats import rankdata

    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def _variance_of_mean(values: Scores) -> float:
    return float(values.var(ddof=1)) / len(values)
