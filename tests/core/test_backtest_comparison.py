import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mlops_assets.core.backtest import compare_with_static, parse_policy, recommend, replay_policy
from mlops_assets.core.backtest.comparison import f1_difference
from mlops_assets.core.performance import evaluate
from mlops_assets.spec import GatePolicy
from tests.core.backtest_example import first_version, history_of, rows_of, train

LOG_LOSS = GatePolicy(metric="log_loss", margin=0.01, unit="relative")


@pytest.fixture(scope="module")
def history():
    return history_of(rows_of(mistaken=(5, 6)))


@pytest.fixture(scope="module")
def compared(history):
    first = first_version(history)
    static = first.scores(history.rows)

    def of(name):
        replay = replay_policy(history, parse_policy(name), first, train=train)
        return compare_with_static(history, replay, static, first)

    return {name: of(name) for name in ("static", "drift+accuracy")}


def test_the_static_policy_differs_from_itself_by_nothing(compared):
    assert {metric: set(d.values()) for metric, d in compared["static"]["against_static"].items()} == {
        metric: {0.0} for metric in ("accuracy", "auc", "f1", "log_loss")
    }
    assert compared["static"]["retrainings"] == 0
    assert compared["static"]["history"] == []


def test_totals_are_the_windows_together(compared):
    for figures in compared.values():
        windows = figures["windows"]
        n_labels = [window["n_labels"] for window in windows]
        for metric in ("accuracy", "log_loss"):
            values = [window["totals"][metric]["value"] for window in windows]
            assert figures["totals"][metric]["value"] == pytest.approx(np.average(values, weights=n_labels))
        assert figures["n_labels"] == sum(n_labels)


def test_promotions_refusals_and_failures_are_all_retrainings(compared):
    figures = compared["drift+accuracy"]
    assert figures["promotions"] + figures["refusals"] + figures["failures"] == figures["retrainings"] > 1
    assert figures["false_alarms"] == sum(one["false_alarm"] is True for one in figures["history"])


def test_two_mistaken_days_are_one_episode_of_two_days(compared):
    figures = compared["static"]
    assert [window["degraded"] for window in figures["windows"]] == [False] * 5 + [True, True, False]
    assert (figures["degraded_windows"], figures["mean_days_to_recover"], figures["unrecovered"]) == (2, 2.0, 0)


def test_an_episode_that_the_history_ends_in_is_unrecovered():
    history = history_of(rows_of(mistaken=(7,)))
    first = first_version(history)
    replay = replay_policy(history, parse_policy("static"), first, train=train)
    figures = compare_with_static(history, replay, replay.scores, first)
    assert (figures["degraded_windows"], figures["mean_days_to_recover"], figures["unrecovered"]) == (1, None, 1)


def test_the_comparison_is_json(compared):
    assert json.loads(json.dumps(compared, allow_nan=False)) == compared


def test_the_difference_of_f1_scores_agrees_with_scikit_learn_and_its_interval_with_the_bootstrap():
    rng = np.random.default_rng(1)
    labels = (rng.random(2000) < 0.3).astype(int)
    new, old = (np.clip(0.35 * labels + rng.normal(0.3, spread, 2000), 0, 1) for spread in (0.15, 0.2))
    difference = f1_difference(new, old, labels, threshold=0.5)
    assert difference.value == pytest.approx(f1_score(labels, new >= 0.5) - f1_score(labels, old >= 0.5))
    draws = [rng.integers(0, 2000, 2000) for _ in range(400)]
    drawn = [f1_difference(new[i], old[i], labels[i], threshold=0.5).value for i in draws]
    assert (difference.high - difference.low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.15)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=20))
def test_a_difference_of_f1_scores_is_theirs_and_is_there_where_both_are(rows):
    new, old, labels = (np.array(column) for column in zip(*rows, strict=True))
    difference = f1_difference(new, old, labels, threshold=0.5)
    one, other = (evaluate(scores, labels, threshold=0.5, prior=0.5).f1 for scores in (new, old))
    if one is None or other is None:
        assert difference is None
    else:
        assert difference.value == pytest.approx(one - other)
        assert difference.low <= difference.value <= difference.high


def policy(name, value, retrainings, *, half=0.001):
    difference = value - 0.3
    return {
        "name": name,
        "retrainings": retrainings,
        "totals": {"log_loss": {"value": value}},
        "against_static": {"log_loss": {"value": difference, "low": difference - half, "high": difference + half}},
    }


STATIC = policy("static", 0.3, 0, half=0.0)


def test_of_two_policies_that_are_about_as_good_the_one_with_fewer_retrainings_is_recommended():
    found = recommend([STATIC, policy("weekly", 0.2700, 48), policy("drift", 0.2710, 16)], LOG_LOSS)
    assert found.policy == "drift"
    assert "weekly reaches 0.2700 with 48" in found.reason


def test_a_clearly_better_policy_is_recommended_whatever_it_costs():
    assert recommend([STATIC, policy("weekly", 0.26, 48), policy("drift", 0.28, 3)], LOG_LOSS).policy == "weekly"


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_without_a_margin_the_best_is_recommended(margin):
    found = recommend(
        [STATIC, policy("weekly", 0.2700, 48), policy("drift", 0.2701, 16)],
        GatePolicy(metric="log_loss", margin=margin),
    )
    assert found.policy == "weekly"


def test_nothing_is_retrained_for_less_than_the_gates_margin():
    found = recommend([STATIC, policy("weekly", 0.2985, 48, half=0.0001)], LOG_LOSS)
    assert found.policy == "static"


def test_what_may_be_chance_is_not_recommended():
    found = recommend([STATIC, policy("drift", 0.28, 3, half=0.05)], LOG_LOSS)
    assert found.policy == "static"
    assert "95 % interval" in found.reason


def test_accuracy_must_rise_in_points():
    def by_accuracy(name, value, retrainings):
        difference = {"value": value - 0.8, "low": value - 0.81, "high": value - 0.79}
        totals = {"accuracy": {"value": value}}
        return {"name": name, "retrainings": retrainings, "totals": totals, "against_static": {"accuracy": difference}}

    policies = [by_accuracy("static", 0.8, 0), by_accuracy("drift", 0.84, 3), by_accuracy("weekly", 0.843, 9)]
    assert recommend(policies, GatePolicy()).policy == "drift"
