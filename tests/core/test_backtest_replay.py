from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.backtest import parse_policy, replay_policy
from mlops_assets.core.backtest.history import History
from mlops_assets.errors import InsufficientDataError
from tests.conftest import ANCHOR, DAY
from tests.core.backtest_example import N_WINDOWS, first_version, history_of, make_spec, rows_of, train

HORIZON = timedelta(hours=6)


def run(history, policy, **options):
    return replay_policy(history, parse_policy(policy), first_version(history), train=train, **options)


@pytest.fixture(scope="module")
def history():
    return history_of(rows_of(mistaken=(4, 5)))


@pytest.fixture(scope="module")
def drift_and_accuracy(history):
    return run(history, "drift+accuracy")


def test_the_static_policy_answers_everything_with_the_first_version(history):
    replay = run(history, "static")
    assert replay.retrainings == []
    assert set(replay.versions) == {1}
    np.testing.assert_array_equal(replay.scores, first_version(history).scores(history.rows))


def test_three_drifted_windows_retrain_and_a_mistaken_one_asks_by_accuracy(drift_and_accuracy):
    asked = [(one.trigger, one.data_until) for one in drift_and_accuracy.retrainings[:2]]
    assert asked == [("drift", ANCHOR + 3 * DAY), ("accuracy", ANCHOR + 5 * DAY)]


def test_a_policy_without_the_trigger_never_asks_by_it(history, drift_and_accuracy):
    assert {one.trigger for one in run(history, "accuracy").retrainings} == {"accuracy"}
    assert "accuracy" in {one.trigger for one in drift_and_accuracy.retrainings}


def test_the_schedule_retrains_at_its_times_on_what_was_settled_by_then(history):
    times = [ANCHOR + 2 * DAY + timedelta(hours=3), ANCHOR + 2 * DAY + timedelta(hours=9)]
    made = run(history, "weekly", scheduled=times).retrainings
    assert [(one.at, one.data_until) for one in made] == [
        (times[0], ANCHOR + 1 * DAY),
        (times[1], ANCHOR + 2 * DAY),
    ]
    assert {one.trigger for one in made} == {"schedule"}
    assert {one.false_alarm for one in made} == {None}


def test_a_schedule_that_comes_sooner_than_the_streak_leaves_nothing_to_the_drift_trigger(history):
    daily = [ANCHOR + (day + 1) * DAY + HORIZON for day in range(N_WINDOWS)]
    weekly, both = (run(history, policy, scheduled=daily).retrainings for policy in ("weekly", "weekly+drift"))
    assert both == weekly
    assert "drift" in {one.trigger for one in run(history, "drift").retrainings}


def test_the_schedules_times_mean_nothing_to_a_policy_without_it(history):
    assert run(history, "static", scheduled=[ANCHOR + DAY]).retrainings == []


def test_nothing_that_became_known_later_changes_what_was_done_before(drift_and_accuracy):
    moment = ANCHOR + 5 * DAY + HORIZON
    rows = rows_of(mistaken=(4, 5))
    rows.loc[rows["event_time"] >= moment, "size"] = 3.0
    rows.loc[rows["observed_at"] >= moment, "outcome"] = "no"
    other = run(history_of(rows), "drift+accuracy")
    before = (drift_and_accuracy.retrainings, other.retrainings)
    seen = [[(one.at, one.verdict, one.evidence) for one in made if one.at <= moment] for made in before]
    assert len(seen[0]) == 2
    assert seen[0] == seen[1]
    n_answered = int((rows["event_time"] < moment).sum())
    np.testing.assert_array_equal(drift_and_accuracy.scores[:n_answered], other.scores[:n_answered])


def test_an_alarm_is_false_if_it_was_refused_or_brought_nothing(drift_and_accuracy):
    for one in drift_and_accuracy.retrainings[:2]:
        assert one.following_log_loss is not None
        assert one.false_alarm is (one.verdict == "refuse" or one.following_log_loss.value >= 0)
    first = drift_and_accuracy.retrainings[0]
    refused = replace(first, verdict="refuse", following_log_loss=replace(first.following_log_loss, high=-0.1))
    assert (refused.false_alarm, refused.missed_gain) == (True, True)
    assert replace(first, following_log_loss=None).false_alarm is None


def test_what_is_retrained_at_the_very_end_can_not_be_called_a_false_alarm():
    made = run(history_of(rows_of(), n_windows=3), "drift[gate.margin=-1]").retrainings
    assert [(one.at, one.verdict) for one in made] == [(ANCHOR + 3 * DAY + HORIZON, "promote")]
    assert made[0].false_alarm is None


def test_a_snapshot_that_can_not_be_trained_on_is_a_failure_and_not_tried_again_for_the_same_reason():
    spec = make_spec()
    rows = rows_of()
    rows.loc[rows["event_time"] >= ANCHOR, ["outcome", "observed_at"]] = None, pd.NaT
    rows.loc[0, ["outcome", "observed_at"]] = "yes", ANCHOR + DAY / 2
    history = history_of(rows, replace(spec, training=replace(spec.training, maximum_null_label_share=0.3)))
    made = run(history, "drift").retrainings
    assert [(one.verdict, one.candidate, one.false_alarm) for one in made] == [("fail", None, None)]
    assert "labels are missing" in made[0].gate_reason


def test_windows_without_rows_are_passed_over():
    rows = rows_of()
    gap = (rows["event_time"] >= ANCHOR + 2 * DAY) & (rows["event_time"] < ANCHOR + 4 * DAY)
    replay = run(history_of(rows[~gap]), "static")
    assert len(replay.verdicts) == N_WINDOWS - 2


def test_a_window_is_counted_once_its_labels_have_had_their_horizon(history):
    settled = []
    run(history, "static", on_window=settled.append)
    assert settled == list(range(1, N_WINDOWS + 1))


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (rows_of().assign(outcome=None), "no row of the history has a label"),
        (rows_of().assign(observed_at=pd.NaT), "no row of the history has a label"),
        (rows_of().head(200), "does not fill one window"),
        (rows_of().head(0), "no row to replay"),
    ],
)
def test_a_history_that_can_not_be_replayed_is_refused(rows, word):
    with pytest.raises(InsufficientDataError, match=word):
        history_of(rows)


def test_a_first_version_that_the_gate_refuses_ends_the_backtest():
    spec = make_spec()
    history = history_of(rows_of(), replace(spec, accuracy=replace(spec.accuracy, floor=0.999)))
    with pytest.raises(InsufficientDataError, match="first version is refused: under the accuracy floor"):
        first_version(history)


def test_a_seasonal_feature_is_compared_with_its_season_as_the_reports_do():
    spec = make_spec()
    spec = replace(
        spec,
        features=tuple(replace(feature, seasonal=True) for feature in spec.features),
        drift=replace(spec.drift, seasonal="matched", season=2 * DAY),
    )
    history = History.of(spec, spec.source(), rows_of())
    replay = run(history, "static")
    measured = replay.drift[history.windows[0]]
    assert {feature.reference for feature in measured.features} == {"season"}
    assert measured.n_rows == len(history.rows.iloc[history.places(ANCHOR, ANCHOR + DAY)])
    rows = history.season(history.windows[0], 2 * DAY, until=ANCHOR)
    assert set((rows["event_time"] - ANCHOR) // DAY) == {-2, -4}
