"""The simulation draws what it says, triggers as the loop does, and the default rule keeps its promise on a sample."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlops_assets.core.profile import count, count_number
from mlops_assets.core.triggers import WindowVerdict, decide_drift_retraining
from mlops_assets.spec import DriftPolicy, RetrainingPolicy
from tests.benchmarks.drift_rules import simulation
from tests.benchmarks.drift_rules.__main__ import plan
from tests.benchmarks.drift_rules.report import PROMISED_STREAMS, detections, false_alarms, figures_of, tables
from tests.benchmarks.drift_rules.simulation import RULES, Block, Run, delays_of, retrainings, verdicts_of
from tests.benchmarks.drift_rules.streams import MIXED, SMOOTH, STREAMS, TAILED, NumberColumn
from tests.benchmarks.page import about

COLUMNS = [*SMOOTH[:5], *MIXED[:5], *TAILED[:5]]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.distribution.dist.name)
def test_drawn_rows_fall_into_the_slots_with_the_shares_that_counts_are_drawn_with(column):
    generator = np.random.default_rng(3)
    edges = np.unique(np.quantile(column.draw(generator, np.zeros(400)), np.linspace(0, 1, 20), method="inverted_cdf"))
    n_rows = 50_000
    counted = np.asarray(count_number(tuple(edges.tolist()), column.draw(generator, np.zeros(n_rows))).slots)
    shares = column.shares(edges, 0.0)
    assert shares.sum() == pytest.approx(1.0)
    assert counted[shares == 0].sum() == 0
    possible = shares > 0
    assert stats.chisquare(counted[possible], n_rows * shares[possible] / shares.sum()).pvalue > 1e-4


def test_a_level_shifts_by_standard_deviations():
    column = NumberColumn(stats.norm(5, 3))
    drawn = column.draw(np.random.default_rng(1), np.full(100_000, 0.5))
    assert drawn.mean() == pytest.approx(5 + 0.5 * 3, abs=0.05)
    assert column.shares(np.array([6.5]), 0.5) == pytest.approx([0.5, 0.0, 0.5])


@pytest.mark.parametrize("name", STREAMS)
def test_drawn_counts_add_up_to_the_window(name):
    stream, generator = STREAMS[name], np.random.default_rng(5)
    profile = stream.reference(generator)
    counts = stream.counts(generator, profile, 1000, stream.path(np.array([3]), generator)[0])
    assert profile.n_rows == 5000
    assert {sum(number.slots) + number.missing for number in counts.numbers.values()} <= {1000}
    totals = {sum(c.frequent) + c.other + c.unseen + c.missing for c in counts.categories.values()}
    assert totals <= {1000}
    assert len(counts.numbers) + len(counts.categories) == 25


def test_correlated_rows_are_correlated_and_otherwise_like_drawn_counts():
    stream, generator = STREAMS["correlated"], np.random.default_rng(6)
    rows = stream._rows(generator, np.zeros((20_000, 25)))
    assert np.corrcoef(rows.to_numpy().T)[0, 1:] == pytest.approx(0.8, abs=0.02)
    profile = stream.reference(generator)
    assert count(profile, rows).numbers["feature_0"].missing == 0


@given(st.lists(st.booleans(), max_size=40))
def test_retrainings_are_those_that_the_whole_history_asks_for(drifted):
    policy, cool_down = DriftPolicy(), RetrainingPolicy().cool_down_windows
    start, hour = simulation._START, simulation._HOUR
    history, asked, reset_at = [], [], None
    for place, is_drifted in enumerate(drifted):
        begins = start + place * hour
        history.append(WindowVerdict(start=begins, end=begins + hour, drift="drifted" if is_drifted else "clean"))
        decision = decide_drift_retraining(history, policy=policy, cool_down_windows=cool_down, reset_at=reset_at)
        if decision.retrain:
            reset_at = history[-1].end
            asked.append(place)
    assert list(retrainings(drifted, policy)) == asked


@pytest.mark.parametrize("stream", ["independent", "discrete", "heavy-tailed", "correlated", "daily cycle"])
def test_a_day_of_a_stable_stream_has_no_drift_by_default(stream):
    assert not any(verdicts_of(Block(stream, 1000, 0, n_windows=24))["vote"])


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["independent", "discrete", "heavy-tailed", "correlated", "daily cycle"])
def test_four_weeks_of_a_stable_stream_ask_for_no_retraining_by_default(stream):
    drifted = verdicts_of(Block(stream, 1000, 1))["vote"]
    assert list(retrainings(drifted, RULES["vote"])) == []


def test_a_daily_cycle_against_the_whole_day_is_drift():
    assert all(verdicts_of(Block("daily cycle", 1000, 0, n_windows=6, matched=False))["vote"])


@pytest.mark.parametrize("number", range(5))
def test_a_feature_shifted_by_half_a_deviation_is_found_in_the_third_window(number):
    assert delays_of(Run(1000, 0.5, number))["vote"] == 3


def test_a_stream_that_is_not_shifted_is_not_found():
    assert delays_of(Run(1000, 0.0, 1, n_windows=5))["vote"] is None


def test_figures_are_the_worst_promised_stream_and_the_promised_shift():
    quiet = dict.fromkeys(RULES, [False] * 168)
    noisy = quiet | {"vote": [True] * 3 + [False] * 165}
    blocks = {Block(stream, 1000, 0, 168): quiet for stream in STREAMS}
    alarms = false_alarms(
        blocks | {Block("autocorrelated", 1000, 0, 168): noisy, Block("discrete", 200, 0, 168): noisy}
    )
    runs = {Run(1000, 0.5, number): dict.fromkeys(RULES, 3 if number else 5) for number in range(4)}
    found = detections(runs | {Run(1000, 0.25, 0): dict.fromkeys(RULES)})
    figures = figures_of(alarms, found)
    assert figures == {"false_retrainings_52_weeks": 0.0, "detected_within_4_windows_share": 0.75}
    alarms = false_alarms(blocks | {Block("discrete", 10_000, 0, 168): noisy})
    assert figures_of(alarms, found)["false_retrainings_52_weeks"] == 52.0
    document = {"about": about("bench-drift-rules", ["numpy"]), "figures": figures, "false_alarms": alarms}
    shown = tables(json.loads(json.dumps({**document, "detections": found})))
    assert "| `detected_within_4_windows_share` | ≥ 0.95 | 0.75 | **no** |" in shown
    assert "| 0.25 sd | 1,000 | 0.0% | 0.0% | 0.0% | 0.0% |" in shown
    assert "| discrete | 10,000 | 1 | 3 / 1 | 0 / 0 | 0 / 0 | 0 / 0 |" in shown


def test_the_plan_holds_a_year_of_every_promised_stream():
    blocks, runs = plan(quick=False)
    weeks = dict.fromkeys(STREAMS, 0.0)
    for block in blocks:
        weeks[block.stream] += block.n_windows / 168 if block.n_rows == 1000 and block.matched else 0
    assert weeks == {stream: 1 if stream == "autocorrelated" else 52 for stream in STREAMS}
    assert {title.split(",")[0] for title in PROMISED_STREAMS} == set(STREAMS) - {"autocorrelated"}
    assert len({run for run in runs if run.shift == 0.5 and run.n_rows == 1000}) == 200
