from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.triggers import (
    WindowVerdict,
    decide_accuracy_retraining,
    decide_drift_retraining,
    decide_new_data_retraining,
    judge_accuracy,
)
from mlops_assets.spec import AccuracyPolicy, DriftPolicy

START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
WORDS = {"d": "drifted", "c": "clean", "i": "insufficient_data", "-": None}


def history(letters: str) -> list[WindowVerdict]:
    return [
        WindowVerdict(start=START + week * WEEK, end=START + (week + 1) * WEEK, drift=WORDS[letter])
        for week, letter in enumerate(letters)
    ]


def drift(letters: str, *, reset_after: int | None = None, cool_down: int = 1, generation: int = 1):
    reset_at = None if reset_after is None else START + reset_after * WEEK
    return decide_drift_retraining(
        history(letters),
        policy=DriftPolicy(consecutive_windows=3),
        cool_down_windows=cool_down,
        reset_at=reset_at,
        generation=generation,
    )


@pytest.mark.parametrize(
    ("letters", "retrain"),
    [
        ("", False),
        ("dd", False),
        ("ddd", True),
        ("ddcd", False),
        ("dcddd", True),
        ("didid", True),
        ("ddi", False),
        ("dddi", True),
        ("dddc", False),
        ("d-d-d", True),
        ("iii", False),
    ],
)
def test_three_drifted_windows_in_a_row_ask_for_retraining(letters, retrain):
    assert drift(letters).retrain is retrain


def test_a_window_with_too_little_data_after_the_streak_does_not_change_the_key():
    assert drift("ddd").key == drift("dddi").key == "drift:2024-01-22T00:00:00Z:generation-1"


def test_a_longer_streak_keeps_the_key_and_another_generation_has_another():
    assert drift("ddd").key == drift("dddd").key
    assert drift("ddd").key != drift("ddd", generation=2).key


def test_only_windows_that_end_after_the_reset_count():
    assert not drift("dddd", reset_after=2).retrain
    assert drift("ddddd", reset_after=2).retrain
    assert [window.start for window in drift("ddddd", reset_after=2).windows] == [START + n * WEEK for n in (2, 3, 4)]


def test_the_order_of_the_verdicts_does_not_matter_and_the_last_word_on_a_window_counts():
    verdicts = history("ddd")
    assert decide_drift_retraining(reversed(verdicts), policy=DriftPolicy(), cool_down_windows=0, reset_at=None).retrain
    assert not decide_drift_retraining(
        [*verdicts, *history("c")], policy=DriftPolicy(), cool_down_windows=0, reset_at=None
    ).retrain


def test_the_cool_down_delays_a_streak_that_is_long_enough():
    assert not drift("ddd", cool_down=4).retrain
    assert not drift("dddd", cool_down=4).retrain
    assert drift("ddddd", cool_down=4).retrain


@given(st.text("dci-", max_size=12))
def test_it_retrains_exactly_if_the_decisive_windows_end_with_three_drifted_ones(letters):
    decisive = letters.replace("i", "").replace("-", "")
    decision = drift(letters)
    assert decision.retrain is decisive.endswith("ddd")
    assert bool(decision.key) is decision.retrain
    assert decision.reason


def accuracy(
    *highs: float | None,
    labels: int = 1000,
    policy: AccuracyPolicy | None = None,
    cool_down: int = 0,
    versions: str = "",
):
    """Windows of these upper bounds, answered by these versions, all by 2 unless named; 2 is in production."""
    verdicts = [
        WindowVerdict(
            start=START + week * WEEK,
            end=START + (week + 1) * WEEK,
            version=versions[week] if versions else "2",
            n_labels=0 if high is None else labels,
            accuracy=None if high is None else high - 0.02,
            accuracy_high=high,
            baseline_accuracy=0.93,
        )
        for week, high in enumerate(highs)
    ]
    return decide_accuracy_retraining(
        verdicts,
        policy=policy or AccuracyPolicy(),
        version="2",
        cool_down_windows=cool_down,
        reset_at=None,
        generation=3,
    )


def test_the_upper_bound_must_be_more_than_the_margin_under_the_baseline():
    assert not accuracy(0.90).retrain
    assert accuracy(0.8999).retrain
    assert accuracy(0.8999).key == "accuracy:2024-01-08T00:00:00Z:generation-3"


def test_the_point_and_the_floor_are_other_ways_to_judge():
    assert accuracy(0.91, policy=AccuracyPolicy(confirm="point")).retrain
    assert not accuracy(0.89, policy=AccuracyPolicy(floor=0.85)).retrain
    assert accuracy(0.84, policy=AccuracyPolicy(floor=0.85)).retrain


def test_the_newest_complete_window_decides():
    assert not accuracy(0.5, 0.95).retrain
    assert accuracy(0.95, 0.5, None).retrain


def test_a_verdict_on_a_version_that_is_no_longer_in_production_is_passed_over():
    assert not accuracy(0.5, versions="1").retrain
    assert accuracy(0.5, versions="2").retrain
    assert not accuracy(0.95, 0.5, versions="21").retrain
    assert accuracy(0.5, 0.95, versions="21").retrain


def test_too_few_labels_and_the_cool_down_never_trigger():
    assert not accuracy(0.5, labels=499).retrain
    assert not accuracy(0.5, cool_down=1).retrain
    assert accuracy(0.5, 0.5, cool_down=1).retrain


def test_without_baseline_or_floor_there_is_no_alarm():
    verdict = WindowVerdict(start=START, end=START + WEEK, n_labels=9999, accuracy=0.1, accuracy_high=0.2)
    decision = decide_accuracy_retraining(
        [verdict], policy=AccuracyPolicy(), version="", cool_down_windows=0, reset_at=None, generation=1
    )
    assert not decision.retrain


BASELINE, MARGIN = 0.93, 0.03


@pytest.mark.parametrize("confirm", ["point", "bound"])
@pytest.mark.parametrize(("floor", "threshold"), [(None, BASELINE - MARGIN), (0.85, 0.85), (0.0, 0.0)])
@pytest.mark.parametrize(("over", "verdict"), [(0.0, "holds"), (1e-15, "holds"), (-0.0001, "under_threshold")])
def test_every_mode_judges_its_own_figure_against_its_own_threshold(confirm, floor, threshold, over, verdict):
    """The other figure lies on the other side, so that judging it would give the other verdict."""
    judged, other = threshold + over, threshold + (0.05 if verdict == "under_threshold" else -0.05)
    accuracy, high = (judged, other) if confirm == "point" else (other, judged)
    policy = AccuracyPolicy(margin=MARGIN, floor=floor, confirm=confirm, minimum_labels=500)
    judgment = judge_accuracy(policy, n_labels=500, accuracy=accuracy, accuracy_high=high, baseline=BASELINE)
    assert (judgment.verdict, judgment.threshold) == (verdict, pytest.approx(threshold))
    few = judge_accuracy(policy, n_labels=499, accuracy=accuracy, accuracy_high=high, baseline=BASELINE)
    assert few.verdict == "insufficient_data"


def test_a_floor_needs_no_baseline_and_a_margin_does():
    figures = {"n_labels": 500, "accuracy": 0.5, "accuracy_high": 0.6, "baseline": None}
    assert judge_accuracy(AccuracyPolicy(floor=0.7), **figures).verdict == "under_threshold"
    assert judge_accuracy(AccuracyPolicy(), **figures).verdict == "insufficient_data"


def new_data(version: str, *, trained_on: str | None = "a", hours: float = 200, generation: int = 1):
    return decide_new_data_retraining(
        version,
        trained_on=trained_on,
        last_decision=START,
        cool_down=WEEK,
        now=START + timedelta(hours=hours),
        generation=generation,
    )


def test_a_source_that_the_last_training_has_not_read_asks_for_retraining():
    decision = new_data("b")
    assert (decision.retrain, decision.trigger, decision.key) == (True, "new_data", "new_data:b:generation-1")
    assert decision.evidence == {"source_version": "b", "trained_on": "a"}
    assert new_data("b", trained_on=None).retrain


def test_a_source_that_has_been_read_or_a_training_not_long_ago_asks_for_nothing():
    assert not new_data("a").retrain
    assert "cooling down until 2024-01-08 00:00" in new_data("b", hours=167).reason
    assert new_data("b", hours=168).retrain


def test_a_content_that_comes_back_after_another_was_trained_on_is_a_new_question():
    assert new_data("b", generation=1).key != new_data("b", generation=3).key
