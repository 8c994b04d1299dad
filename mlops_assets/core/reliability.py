"""Whether probabilities come true as often as they say."""

from dataclasses import dataclass

import numpy as np

from mlops_assets.core.intervals import Labels, Scores

N_BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Bins of similar probability, ascending; shape (n_bins,) each.

    Attributes:
        predicted: Mean probability, 0 to 1.
        observed: Share of positives, 0 to 1.
        n_rows: Rows.
    """

    predicted: Scores
    observed: Scores
    n_rows: Labels


def reliability(scores: Scores, labels: Labels) -> Reliability:
    """Compare mean probability and share of positives in ten bins of equally many rows; ties can leave fewer.

    Args:
        scores: Probability of the positive label, shape (n_rows,), n_rows >= 1.
        labels: 1 or 0, shape (n_rows,).
    """
    place = np.searchsorted(bin_bounds(scores), scores, side="right")
    filled, place = np.unique(place, return_inverse=True)
    rows = np.bincount(place, minlength=len(filled))
    return Reliability(
        predicted=np.bincount(place, weights=scores) / rows,
        observed=np.bincount(place, weights=labels) / rows,
        n_rows=rows,
    )


def calibration_error(scores: Scores, labels: Labels) -> float:
    """Return the expected calibration error: the mean distance of probability and share over ten quantile bins.

    Args:
        scores: Probability of the positive label, shape (n_rows,), n_rows >= 1.
        labels: 1 or 0, shape (n_rows,).

    Returns:
        0 to 1. Chance alone makes it positive: perfect probabilities near p give about
        0.8 * sqrt(10 * p * (1 - p) / n_rows), 0.035 for a quarter at 1000 rows.

    Source:
        Naeini, Cooper, Hauskrecht (2015); bins of equally many rows as in Nixon et al. (2019), Measuring calibration
        in deep learning.

    Example:
        >>> calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0, 0, 1, 1])).__round__(2)
        0.15
    """
    bins = reliability(scores, labels)
    return float(np.sum(bins.n_rows * np.abs(bins.predicted - bins.observed)) / len(scores))


def bin_bounds(scores: Scores) -> Scores:
    """Return the inner bounds of the quantile bins, ascending and distinct; a bound belongs to the bin above it."""
    bounds: Scores = np.unique(np.quantile(scores, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    return bounds
