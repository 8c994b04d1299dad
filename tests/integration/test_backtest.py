"""The backtest and the live loop say the same about the same history: that is what makes a backtest worth reading."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.backtest_folder import BacktestFolder
from mlops_assets.assets.backtest_runs import Trainer
from mlops_assets.core.backtest import History, parse_policy, replay_policy, train_first_version
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.reports.figures import canvas
from sensors.triggers import settled_verdicts
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows, tiny_source
from tests.integration.harness import InProcessLoop
from tests.integration.traffic import replay

N_WINDOWS = 5
SHIFT = 1.2
MISTAKEN_DAYS = (4, 5)
TOLERANCE = 1e-5
"""Pipeline and graph may differ by so much in a score."""


def history_rows():
    """Days of which drift and a changed concept each ask for a retraining; labels late, some never."""
    rng = np.random.default_rng(3)
    days = [
        tiny_rows(300, start=ANCHOR + day * DAY, length=DAY, seed=100 + day, shift=SHIFT)
        for day in range(N_WINDOWS + 1)
    ]
    for day in MISTAKEN_DAYS:
        days[day]["outcome"] = days[day]["outcome"].map({"yes": "no", "no": "yes"})
    rows = pd.concat(days, ignore_index=True)
    rows["observed_at"] = rows["event_time"] + pd.to_timedelta(rng.integers(1, 350, len(rows)), unit="min")
    unknown = rng.random(len(rows)) < 0.05
    rows.loc[unknown, ["outcome", "observed_at"]] = None, pd.NaT
    return rows


@pytest.fixture(scope="module")
def spec():
    spec = make_tiny_spec()
    return replace(spec, accuracy=replace(spec.accuracy, minimum_labels=100, margin=0.2))


@pytest.fixture(scope="module")
def history(spec):
    return History.of(spec, tiny_source(), history_rows(), n_windows=N_WINDOWS)


@pytest.fixture(scope="module")
def live(spec, history, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        patch.setattr(canvas, "as_png", lambda _figure: b"\x89PNG\r\n\x1a\n")
        loop = InProcessLoop(spec, tmp_path_factory.mktemp("live") / "home", instance)
        assert loop.run("retrain").success
        replay(loop, history.rows, history.windows)
        yield loop


@pytest.fixture(scope="module")
def backtest(spec, history, tmp_path_factory):
    train = Trainer(spec, BacktestFolder.of(tmp_path_factory.mktemp("backtests"), history, search=True))
    first = train_first_version(history, train=train)
    return replay_policy(history, parse_policy("drift+accuracy"), first, train=train, search=True)


def test_the_history_sees_a_promotion_by_drift_and_a_refusal_by_accuracy(backtest):
    assert [(one.trigger, one.verdict) for one in backtest.retrainings] == [
        ("drift", "promote"),
        ("accuracy", "refuse"),
    ]


def test_the_same_triggers_fire_for_the_same_reasons_in_the_same_windows(live, backtest):
    asked = [(request.tags["mlops/trigger"], request.tags["mlops/reason"]) for request in live.retrainings()]
    assert asked == [(one.trigger, one.reason) for one in backtest.retrainings]
    chain = live.store.history("tiny")[1:]
    assert [entry.data_until for entry in chain] == [one.data_until for one in backtest.retrainings]


def test_the_gate_says_the_same_with_the_same_numbers(live, backtest):
    chain = live.store.history("tiny")[1:]
    assert [entry.action for entry in chain] == [one.verdict for one in backtest.retrainings]
    for entry, one in zip(chain, backtest.retrainings, strict=True):
        assert entry.candidate.version == str(one.candidate)
        assert entry.evidence["n_rows"] == one.evidence["n_rows"]
        for value in ("challenger_value", "champion_value", "gain"):
            assert entry.evidence[value] == pytest.approx(one.evidence[value], abs=TOLERANCE)


def test_the_triggers_see_the_same_verdict_on_every_window(live, backtest, spec):
    seen = settled_verdicts(spec, live.lake)
    for own, other in zip(seen, backtest.verdicts, strict=True):
        assert (own.start, own.end, own.drift, own.n_labels) == (other.start, other.end, other.drift, other.n_labels)
        for value in ("accuracy", "accuracy_high", "baseline_accuracy"):
            assert getattr(own, value) == pytest.approx(getattr(other, value), abs=TOLERANCE)
    drifted = [row["drifted_features"] for row in latest_summaries(live.lake, "tiny", "drift_metrics")]
    assert drifted == [list(drift.drifted_features) for drift in backtest.drift.values()]


def test_the_same_versions_answer_with_the_same_scores(live, history, backtest):
    logged = live.lake.read("tiny", "predictions").set_index("entity_key").loc[history.rows["entity_key"]]
    assert logged["model_version"].astype(int).tolist() == backtest.versions.tolist()
    np.testing.assert_allclose(logged["score"], backtest.scores, atol=TOLERANCE)


def test_a_new_version_answers_only_after_the_label_horizon(history, backtest):
    promoted = next(one for one in backtest.retrainings if one.verdict == "promote")
    assert promoted.at == promoted.data_until + timedelta(hours=6)
    times = history.rows["event_time"]
    assert set(backtest.versions[(times >= promoted.data_until) & (times < promoted.at)]) == {1}
