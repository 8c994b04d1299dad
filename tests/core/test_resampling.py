import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mlops_assets.core.performance import evaluate, further_intervals
from mlops_assets.core.reliability import calibration_error

N_BRUTE_FORCE = 300


def sample(n_rows, generator):
    scores = generator.beta(1, 2, n_rows)
    return scores, (generator.random(n_rows) < scores).astype(int)


def intervals(scores, labels, threshold=0.5):
    measured = evaluate(scores, labels, threshold=threshold, prior=0.3)
    return measured, further_intervals(measured, scores, labels, threshold=threshold)


def test_the_intervals_are_as_wide_as_those_of_resampled_rows():
    generator = np.random.default_rng(5)
    scores, labels = sample(1500, generator)
    picks = generator.integers(0, 1500, (N_BRUTE_FORCE, 1500))
    brute_force = {
        "f1": [metrics.f1_score(labels[pick], scores[pick] >= 0.5) for pick in picks],
        "pr_auc": [metrics.average_precision_score(labels[pick], scores[pick]) for pick in picks],
        "calibration_error": [calibration_error(scores[pick], labels[pick]) for pick in picks],
    }
    _, found = intervals(scores, labels)
    for name, values in brute_force.items():
        # Two standard errors, each known to 4 % from 300 and 400 samples, differ by 6 %; 20 % are three of those.
        assert found[name].high - found[name].low == pytest.approx(2 * 1.96 * np.std(values), rel=0.2), name


def test_precision_and_recall_are_shares_with_wilson_intervals():
    scores, labels = np.array([0.9, 0.9, 0.9, 0.1]), np.array([1, 1, 0, 1])
    measured, found = intervals(scores, labels)
    assert (measured.precision, measured.recall) == (found["precision"].value, found["recall"].value)
    assert found["precision"].low == pytest.approx(0.2077, abs=1e-4)  # 2 of 3
    assert found["recall"] == found["precision"]


def test_the_f1_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(6)
    scores, labels = sample(300_000, generator)
    truth = metrics.f1_score(labels, scores >= 0.5)
    covered = 0
    for _ in range(100):
        _, found = intervals(*sample(400, generator))
        covered += found["f1"].low <= truth <= found["f1"].high
    assert 0.88 <= covered / 100 <= 0.99


def test_a_perfect_answer_on_few_rows_is_no_certainty():
    labels = np.repeat([0, 1], [30, 10])
    _, found = intervals(np.where(labels == 1, 0.9, 0.1), labels)
    assert {name: (found[name].value, found[name].high) for name in ("f1", "pr_auc")} == {
        "f1": (1.0, 1.0),
        "pr_auc": (1.0, 1.0),
    }
    assert found["f1"].low == pytest.approx(2 * 0.7225 / 1.7225, abs=1e-4)  # 10 of 10 by Wilson: 0.7225
    assert 0.7 < found["pr_auc"].low < 0.95


def test_the_interval_of_the_precision_recall_area_covers_the_truth_with_few_positives():
    generator = np.random.default_rng(8)
    many = np.repeat([1, 0], [4000, 400_000])
    truth = metrics.average_precision_score(many, generator.normal(2.0 * many))
    labels, covered = np.repeat([1, 0], [5, 500]), 0
    for _ in range(200):
        scores = 1 / (1 + np.exp(-generator.normal(2.0 * labels)))
        _, found = intervals(scores, labels)
        covered += found["pr_auc"].low <= truth <= found["pr_auc"].high
    assert covered / 200 >= 0.88


def test_the_same_rows_have_the_same_intervals():
    rows = sample(500, np.random.default_rng(7))
    assert intervals(*rows)[1] == intervals(*rows)[1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30), st.floats(0, 1))
def test_every_defined_metric_has_an_interval_around_its_value(rows, threshold):
    scores, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    measured, found = intervals(scores, labels, threshold)
    names = ("precision", "recall", "brier", "f1", "pr_auc", "calibration_error")
    assert found.keys() == {name for name in names if measured.metrics()[name] is not None}
    for name, interval in found.items():
        assert interval.value == measured.metrics()[name]
        assert -1e-9 <= interval.low - 1e-9 <= interval.value <= interval.high + 1e-9 <= 1 + 2e-9
