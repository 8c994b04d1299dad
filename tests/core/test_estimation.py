import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.estimation import Calibration, calibrate, estimate_accuracy


def world(n_rows, seed, *, center=-1.0, concept=1.0):
    """Scores of an overconfident model, and labels; `center` moves the population, `concept` what a row means."""
    generator = np.random.default_rng(seed)
    x = generator.normal(center, 1.5, n_rows)
    labels = (generator.random(n_rows) < 1 / (1 + np.exp(-concept * x))).astype(int)
    return 1 / (1 + np.exp(-2.5 * x)), labels


HOLDOUT = world(5000, 1)


def estimate(scores, calibration=None):
    return estimate_accuracy(calibration or calibrate(*HOLDOUT), scores, scores >= 0.5, np.ones(len(scores)))


def truth(scores, labels):
    return float(((scores >= 0.5) == (labels == 1)).mean())


@pytest.mark.parametrize("center", [-1.0, 0.0, 1.0, 3.0])
def test_the_estimate_follows_a_population_that_moves(center):
    scores, labels = world(200_000, 2, center=center)
    assert estimate(scores).value == pytest.approx(truth(scores, labels), abs=0.015)


def test_the_interval_covers_the_accuracy_that_comes_true_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        calibration = calibrate(*world(2000, 1000 + seed))
        scores, labels = world(1000, 5000 + seed)
        found = estimate(scores, calibration)
        covered += found.low <= truth(scores, labels) <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_estimate_is_blind_to_concept_drift():
    scores, labels = world(200_000, 3, concept=-1.0)
    assert truth(scores, labels) < 0.3
    assert estimate(scores).value > 0.7


def test_the_model_s_own_probabilities_would_promise_too_much():
    scores, labels = world(200_000, 4)
    promised = float(np.where(scores >= 0.5, scores, 1 - scores).mean())
    assert promised - truth(scores, labels) > 0.05
    assert abs(estimate(scores).value - truth(scores, labels)) < 0.01


def test_groups_of_rows_count_as_their_rows():
    calibration = Calibration((0.0, 1.0), (0.1, 0.9), 100)
    groups = estimate_accuracy(calibration, np.array([0.0, 1.0]), np.array([False, True]), [3, 1])
    rows = estimate_accuracy(
        calibration, np.array([0.0, 0.0, 0.0, 1.0]), np.array([False, False, False, True]), [1] * 4
    )
    assert groups == rows
    assert groups.value == pytest.approx(0.9)


def test_no_rows_have_no_estimate():
    assert estimate(np.array([])) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30), st.floats(0, 1))
def test_a_calibration_survives_its_document_never_falls_and_stays_a_probability(rows, score):
    fitted = calibrate(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))
    assert Calibration.from_json(fitted.to_json()) == fitted
    low, high = fitted(np.array([score / 2, score]))
    assert 0 <= low <= high <= 1
    found = estimate(np.array([score]), fitted)
    assert 0 <= found.low <= found.value <= found.high <= 1
