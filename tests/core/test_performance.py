import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from mlops_assets.core.performance import (
    LARGEST_LOG_LOSS,
    delong_interval,
    evaluate,
    further_intervals,
    paired_difference,
    wilson_interval,
)
from mlops_assets.core.reliability import calibration_error
from mlops_assets.errors import DataError, InsufficientDataError

GENERATOR = np.random.default_rng(11)
LABELS = (GENERATOR.random(800) < 0.3).astype(int)
SCORES = np.clip(0.3 * LABELS + GENERATOR.random(800) * 0.7, 0, 1).round(2)


def measured(scores=SCORES, labels=LABELS, prior=0.3):
    return evaluate(scores, labels, threshold=0.5, prior=prior)


def test_every_metric_is_scikit_learns():
    answers = SCORES >= 0.5
    assert measured().metrics() == pytest.approx(
        {
            "n_rows": 800,
            "prior": 0.3,
            "accuracy": metrics.accuracy_score(LABELS, answers),
            "log_loss": metrics.log_loss(LABELS, np.clip(SCORES, 1e-7, 1 - 1e-7)),
            "auc": metrics.roc_auc_score(LABELS, SCORES),
            "pr_auc": metrics.average_precision_score(LABELS, SCORES),
            "brier": metrics.brier_score_loss(LABELS, SCORES),
            "precision": metrics.precision_score(LABELS, answers),
            "recall": metrics.recall_score(LABELS, answers),
            "f1": metrics.f1_score(LABELS, answers),
            "calibration_error": calibration_error(SCORES, LABELS),
            "constant_accuracy": 1 - LABELS.mean(),
            "constant_log_loss": metrics.log_loss(LABELS, np.full(800, 0.3)),
            "constant_brier": metrics.brier_score_loss(LABELS, np.full(800, 0.3)),
            "constant_pr_auc": metrics.average_precision_score(LABELS, np.full(800, 0.3)),
            "constant_f1": 0.0,
        }
    )


def test_a_constant_predictor_of_the_frequent_label_finds_all_of_it():
    performance = measured(prior=0.7)
    assert performance.constant_f1 == pytest.approx(metrics.f1_score(LABELS, np.ones(800)))
    assert performance.constant_accuracy == pytest.approx(LABELS.mean())


def test_the_wilson_interval_of_a_published_example():
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662."""
    interval = wilson_interval(81, 263)
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_delong_interval_covers_the_truth_as_often_as_it_says():
    covered, truth = 0, 0.76025  # Phi(1 / sqrt 2)
    for _ in range(400):
        labels = np.repeat([0, 1], 60)
        interval = delong_interval(GENERATOR.normal(labels.astype(float)), labels)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_delong_interval_is_wide_where_the_bootstrap_is():
    picks = GENERATOR.integers(0, 800, (200, 800))
    areas = [metrics.roc_auc_score(LABELS[pick], SCORES[pick]) for pick in picks]
    interval = measured().auc
    assert interval.high - interval.low == pytest.approx(4 * 0.98 * np.std(areas), rel=0.2)


def test_a_model_that_never_answers_positive_has_an_f1_of_0_unless_no_label_is_positive():
    never = np.full(800, 0.2)
    assert (measured(never).f1, measured(never).precision, measured(never).recall) == (0.0, None, 0.0)
    assert metrics.f1_score(LABELS, never >= 0.5) == 0.0
    nothing = measured(never, np.zeros(800, dtype=int))
    assert (nothing.f1, nothing.precision, nothing.recall) == (None, None, None)
    assert measured(1 - never, np.zeros(800, dtype=int)).f1 == 0.0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_auc_undefined_and_the_rest_stands(label):
    performance = measured(labels=np.full(800, label))
    assert performance.auc is None
    assert performance.pr_auc is None
    assert "auc" not in performance.metrics_with_intervals()
    json.dumps(performance.metrics(), allow_nan=False)


def test_one_row_says_nothing_about_a_mean():
    one, other, label = np.array([0.2]), np.array([0.6]), np.array([1])
    performance = measured(one, label)
    further = further_intervals(performance, one, label, threshold=0.5)
    assert (performance.log_loss.low, performance.log_loss.high) == (0.0, LARGEST_LOG_LOSS)
    assert {name: (further[name].low, further[name].high) for name in ("brier", "calibration_error")} == {
        "brier": (0.0, 1.0),
        "calibration_error": (0.0, 1.0),
    }
    difference = paired_difference(one, other, label, threshold=0.5)
    assert (difference.accuracy.low, difference.accuracy.value, difference.accuracy.high) == (-1.0, -1.0, 1.0)
    assert (difference.log_loss.low, difference.log_loss.high) == (-LARGEST_LOG_LOSS, LARGEST_LOG_LOSS)


def test_certain_and_wrong_costs_a_finite_loss():
    assert measured(np.array([1.0, 0.0]), np.array([0, 1])).log_loss.value == pytest.approx(-np.log(1e-7))


def test_no_rows_and_scores_that_are_no_numbers_are_refused():
    with pytest.raises(InsufficientDataError):
        measured(np.array([]), np.array([], dtype=int))
    with pytest.raises(DataError, match="1 of 2 scores"):
        measured(np.array([0.5, np.nan]), np.array([0, 1]))


def test_paired_differences_are_differences_and_narrower_than_unpaired_ones():
    better = np.clip(SCORES + 0.05 * (2 * LABELS - 1), 0.01, 0.99)
    difference = paired_difference(better, SCORES, LABELS, threshold=0.5)
    new, old = measured(better), measured()
    assert difference.accuracy.value == pytest.approx(new.accuracy.value - old.accuracy.value)
    assert difference.log_loss.value == pytest.approx(new.log_loss.value - old.log_loss.value)
    assert difference.auc.value == pytest.approx(new.auc.value - old.auc.value)
    assert difference.log_loss.high - difference.log_loss.low < new.log_loss.high - new.log_loss.low
    assert difference.auc.high - difference.auc.low < new.auc.high - new.auc.low


def test_a_model_does_not_differ_from_itself():
    difference = paired_difference(SCORES, SCORES, LABELS, threshold=0.5)
    for estimate in (difference.accuracy, difference.log_loss, difference.auc):
        assert (estimate.low, estimate.value, estimate.high) == (0.0, 0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30), st.floats(0, 1))
def test_intervals_hold_their_value_and_everything_is_json(rows, prior):
    performance = measured(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), prior)
    for estimate in (performance.accuracy, performance.log_loss, performance.auc):
        assert estimate is None or estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9
    json.dumps(performance.metrics_with_intervals(), allow_nan=False)
