import numpy as np
import pytest

from mlops_assets.core.intervals import Z_95, delong_difference, delong_interval, mean_interval

GENERATOR = np.random.default_rng(3)
LABELS = (GENERATOR.random(90) < 0.4).astype(int)
ONE = (LABELS + GENERATOR.normal(size=90)).round(1)
OTHER = (LABELS + GENERATOR.normal(size=90)).round(1)


def comparisons(scores):
    """Every positive against every negative: 1 if above, half if equal."""
    positive, negative = scores[LABELS == 1][:, None], scores[LABELS == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def by_definition(*pairs):
    """DeLong's estimator from the matrix of all comparisons: areas, and covariance of their structural components."""
    matrices = [comparisons(scores) for scores in pairs]
    of_positives = np.cov([matrix.mean(axis=1) for matrix in matrices])
    of_negatives = np.cov([matrix.mean(axis=0) for matrix in matrices])
    m, n = matrices[0].shape
    return [matrix.mean() for matrix in matrices], np.atleast_2d(of_positives / m + of_negatives / n)


def test_the_delong_interval_is_what_its_definition_gives_with_ties():
    (area,), ((variance,),) = by_definition(ONE)
    interval = delong_interval(ONE, LABELS)
    assert interval.value == pytest.approx(area)
    assert interval.high - interval.low == pytest.approx(2 * Z_95 * variance**0.5)


def test_the_difference_of_two_areas_uses_their_covariance():
    (one, other), covariance = by_definition(ONE, OTHER)
    difference = delong_difference(ONE, OTHER, LABELS)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference.value == pytest.approx(one - other)
    assert difference.high - difference.value == pytest.approx(Z_95 * variance**0.5)


def test_one_value_has_no_spread():
    assert mean_interval(np.array([0.5])) == mean_interval(np.array([0.5, 0.5]))
