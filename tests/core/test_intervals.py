import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

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


def test_the_delong_interval_is_by_its_definition_with_ties_where_rows_are_many():
    (area,), ((variance,),) = by_definition(ONE)
    interval = delong_interval(np.tile(ONE, 40), np.tile(LABELS, 40))
    assert interval.value == pytest.approx(area)
    assert interval.high - interval.low == pytest.approx(2 * Z_95 * (variance / 40) ** 0.5, rel=0.02)


def test_the_difference_of_two_areas_uses_their_covariance():
    (one, other), covariance = by_definition(ONE, OTHER)
    difference = delong_difference(ONE, OTHER, LABELS)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference.value == pytest.approx(one - other)
    assert difference.high - difference.value == pytest.approx(Z_95 * variance**0.5, rel=0.02)


@pytest.mark.parametrize("n_positives", [1, 2, 3, 5, 10, 30])
@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (3.0, 1.0), (1.5, 3.0)])
def test_the_interval_of_an_area_covers_the_truth_however_few_positives_there_are(n_positives, shift, spread):
    generator = np.random.default_rng(n_positives)
    labels = np.repeat([1, 0], [n_positives, 500])
    truth = norm.cdf(shift / np.hypot(1, spread))
    covered = 0
    for _ in range(500):
        scores = generator.normal(shift * labels, np.where(labels == 1, spread, 1.0))
        interval = delong_interval(scores, labels)
        covered += interval.low <= truth <= interval.high
    assert covered / 500 >= 0.92


def test_perfect_separation_of_few_rows_is_no_certainty():
    few, many = (delong_interval(labels + 0.0, labels) for labels in (np.repeat([0, 1], n) for n in (5, 5000)))
    assert (few.value, few.high) == (many.value, many.high) == (1.0, 1.0)
    assert few.low < 0.7
    assert many.low > 0.999


def test_the_difference_of_two_areas_says_nothing_with_one_positive():
    labels = np.array([1, 0, 0, 0])
    difference = delong_difference(np.array([0.9, 0.1, 0.2, 0.3]), np.array([0.2, 0.1, 0.2, 0.3]), labels)
    assert (difference.value, difference.low, difference.high) == (0.5, -1.0, 1.0)


def test_the_interval_of_a_mean_is_students():
    values = np.array([0.1, 0.4, 0.3, 0.9])
    interval, exact = mean_interval(values, low=-9, high=9), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert mean_interval(values, low=0.0, high=1.0).low == 0.0


def test_one_value_has_the_whole_range():
    interval = mean_interval(np.array([0.5]), low=-1.0, high=2.0)
    assert (interval.value, interval.low, interval.high) == (0.5, -1.0, 2.0)
