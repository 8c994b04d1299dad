import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.slices import MAXIMUM_VALUES, MINIMUM_ROWS, MISSING, measure_slices


def rows(**n_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    values = [None if value == "none" else value for value, n in n_rows.items() for _ in range(n)]
    scores = np.random.default_rng(1).random(len(values))
    return pd.DataFrame({"carrier": values, "score": scores}), (scores > 0.4).astype(int)


def measure(frame, labels):
    return measure_slices(frame, labels, ("carrier",), threshold=0.5, prior=0.6)


def test_each_frequent_value_is_measured_apart_the_most_frequent_first():
    frame, labels = rows(rare=MINIMUM_ROWS - 1, small=MINIMUM_ROWS, large=300, none=200)
    slices = measure(frame, labels)
    assert [part.name for part in slices] == ["carrier=large", f"carrier={MISSING}", "carrier=small"]
    assert [part.performance.n_rows for part in slices] == [300, 200, MINIMUM_ROWS]
    large = frame["carrier"] == "large"
    right = ((frame["score"] >= 0.5) == (labels == 1))[large].mean()
    assert slices[0].performance.accuracy.value == pytest.approx(right)
    assert set(slices[0].intervals) == {"precision", "recall", "brier", "f1", "pr_auc", "calibration_error"}


def test_a_feature_with_any_number_of_values_has_a_bounded_number_of_slices():
    frame, labels = rows(**{f"v{number:03d}": MINIMUM_ROWS for number in range(50)})
    assert [part.value for part in measure(frame, labels)] == [f"v{number:03d}" for number in range(MAXIMUM_VALUES)]


def test_a_slice_of_one_class_has_what_is_defined():
    frame, _ = rows(only=MINIMUM_ROWS)
    (part,) = measure(frame, np.zeros(MINIMUM_ROWS, dtype=int))
    assert part.performance.auc is None
    assert "recall" not in part.intervals


def test_without_rows_or_features_there_are_no_slices():
    frame, labels = rows(a=MINIMUM_ROWS)
    assert measure(frame.head(0), labels[:0]) == ()
    assert measure_slices(frame, labels, (), threshold=0.5, prior=0.5) == ()


def test_a_feature_that_no_row_has_yet_has_no_slices():
    frame, labels = rows(a=MINIMUM_ROWS)
    assert measure(frame.drop(columns="carrier"), labels) == ()
    assert measure(frame.assign(carrier=None), labels) == ()
