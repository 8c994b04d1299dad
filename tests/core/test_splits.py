from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.splits import expanding_folds, split
from mlops_assets.errors import InsufficientDataError
from mlops_assets.spec import TrainingPolicy
from tests.core.example import START, WEEK, example_frame, example_spec

SPEC = example_spec()


def test_the_parts_are_weeks_when_the_snapshot_ends_with_a_week():
    parts = split(example_frame(weeks=5), SPEC.training, end=START + 5 * WEEK)
    assert [len(part) for part in (parts.train, parts.validation, parts.holdout)] == [900, 300, 300]
    assert parts.holdout["event_time"].min() == START + 4 * WEEK


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 15),
    st.lists(st.integers(0, 40 * 24), min_size=60, max_size=120),
)
def test_the_parts_are_disjoint_and_follow_each_other_whatever_the_order_of_rows(holdout, validation, hours):
    policy = TrainingPolicy(
        history=timedelta(days=60), holdout=timedelta(days=holdout), validation=timedelta(days=validation)
    )
    frame = pd.DataFrame({"event_time": [START + timedelta(hours=hour) for hour in hours]})
    try:
        parts = split(frame, policy)
    except InsufficientDataError:
        return
    times = [part["event_time"] for part in (parts.train, parts.validation, parts.holdout)]
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()
    assert sum(len(part) for part in times) == len(frame)
    assert times[2].max() - times[2].min() <= policy.holdout


def test_rows_older_than_the_history_or_at_the_end_are_left_out():
    policy = TrainingPolicy(history=3 * WEEK, holdout=timedelta(days=3), validation=WEEK)
    parts = split(example_frame(weeks=5), policy, end=START + 4 * WEEK)
    assert parts.train["event_time"].min() >= START + WEEK
    assert parts.holdout["event_time"].max() < START + 4 * WEEK


def test_an_empty_part_is_refused_with_the_dates():
    with pytest.raises(InsufficientDataError, match="no rows to split"):
        split(example_frame().head(0), SPEC.training)
    with pytest.raises(InsufficientDataError, match="no rows for training"):
        split(example_frame(weeks=1), SPEC.training, end=START + WEEK)


def test_folds_expand_in_time_and_the_last_one_is_train_against_validation():
    parts = split(example_frame(weeks=5), SPEC.training, end=START + 5 * WEEK)
    folds = list(expanding_folds(parts.train, parts.validation, SPEC))
    assert [(len(fold.train.labels), len(fold.validation.labels)) for fold in folds] == [(600, 300), (900, 300)]


def test_unlabeled_rows_are_not_learned_from():
    frame = example_frame(weeks=5)
    frame.loc[::3, "outcome"] = None
    parts = split(frame, SPEC.training, end=START + 5 * WEEK)
    assert len(parts.train) == 900
    assert len(list(expanding_folds(parts.train, parts.validation, SPEC))[-1].train.labels) == 600


def test_folds_that_are_too_small_are_left_out_and_the_last_must_be_large_enough():
    parts = split(example_frame(60, weeks=5), SPEC.training, end=START + 5 * WEEK)
    assert len(list(expanding_folds(parts.train, parts.validation, SPEC))) == 1
    with pytest.raises(InsufficientDataError, match="of the rarer class"):
        list(expanding_folds(parts.train.head(12), parts.validation, SPEC))


def test_validation_rows_before_training_rows_are_refused():
    parts = split(example_frame(weeks=5), SPEC.training, end=START + 5 * WEEK)
    with pytest.raises(InsufficientDataError, match="later"):
        list(expanding_folds(parts.validation, parts.train, SPEC))
