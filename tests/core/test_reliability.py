import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.reliability import calibration_error, reliability


def test_the_calibration_error_is_the_mean_distance_weighted_by_rows():
    scores = np.repeat([0.1, 0.6], [6, 4])
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert calibration_error(scores, labels) == pytest.approx(0.6 * abs(0.1 - 1 / 6) + 0.4 * abs(0.6 - 1.0))


def test_chance_alone_gives_perfect_probabilities_the_error_that_the_docstring_says():
    generator = np.random.default_rng(2)
    scores = 0.25 + 1e-6 * generator.random(1000)
    errors = [calibration_error(scores, (generator.random(1000) < scores).astype(int)) for _ in range(200)]
    assert np.mean(errors) == pytest.approx(0.8 * np.sqrt(10 * 0.25 * 0.75 / 1000), rel=0.05)


def test_overconfident_scores_have_the_error_of_their_overconfidence():
    generator = np.random.default_rng(4)
    probability = generator.uniform(0.1, 0.4, 100_000)
    labels = (generator.random(100_000) < probability).astype(int)
    assert calibration_error(probability + 0.3, labels) == pytest.approx(0.3, abs=0.01)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_bins_hold_every_row_and_stay_between_0_and_1(rows):
    scores, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    bins = reliability(scores, labels)
    assert bins.n_rows.sum() == len(rows)
    assert len(bins.n_rows) <= 10
    assert (np.diff(bins.predicted) > -1e-12).all()
    assert 0 <= calibration_error(scores, labels) <= 1
