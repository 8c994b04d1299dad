"""The picture and the page of a backtest."""

import pytest

from mlops_assets.reports.figures import policies_over_time
from mlops_assets.reports.html import backtest_html, backtest_picture
from tests.reports.conftest import HOSTILE
from tests.reports.test_figures import BLUE, STARTS, VERMILION, WIDTH, pixels_of, size_of
from tests.reports.test_html import text_of


def line(name, *, verdicts=("promote", "refuse", "fail"), differences=None):
    values = [-0.01 * (number % 5) for number in range(len(STARTS))] if differences is None else differences
    return {"name": name, "differences": values, "retrainings": list(zip(STARTS[5:], verdicts, strict=False))}


def interval(value):
    return {"value": value, "low": value - 0.001, "high": value + 0.001}


def policy(name, *, triggers=("drift",), auc=True, f1=0.76):
    metrics = {"accuracy": interval(0.9), "auc": interval(0.91) if auc else None, "log_loss": interval(0.27)}
    windows = [
        {"start": start.isoformat(), "against_static": {"log_loss": interval(-0.01)} if number % 7 else None}
        for number, start in enumerate(STARTS)
    ]
    entry = {"at": STARTS[9].isoformat(), "trigger": "drift", "verdict": "refuse", "gate_reason": HOSTILE}
    return {
        "name": name,
        "triggers": list(triggers),
        "totals": {**metrics, "f1": f1},
        "against_static": {**metrics, "f1": interval(0.01) if f1 else None},
        "retrainings": 1,
        "promotions": 0,
        "refusals": 1,
        "alarms": 1,
        "false_alarms": 1,
        "missed_gains": 0,
        "mean_days_to_recover": None,
        "windows": windows,
        "history": [{**entry, "false_alarm": True, "following_log_loss": None}] if triggers else [],
    }


def document(*policies):
    return {
        "model": "flight_delay",
        "history": {"start": STARTS[0].isoformat(), "end": STARTS[-1].isoformat(), "n_windows": 60, "n_labels": 9},
        "recommended": {"policy": "drift", "reason": "log loss 0.2700 with 1 retraining"},
        "constant": {"accuracy": 0.76, "log_loss": 0.55},
        "policies": list(policies),
        "timing": {"policies": {entry["name"]: {"fit_seconds": 3.2} for entry in policies}},
    }


def test_every_policy_has_its_line_and_its_row_of_retrainings():
    png = policies_over_time(STARTS, [line("drift"), line("weekly")])
    assert size_of(png) == (WIDTH, 448)
    assert min(pixels_of(png, BLUE), pixels_of(png, VERMILION)) > 0
    assert pixels_of(policies_over_time(STARTS, [line("drift")]), VERMILION) == 0


def test_the_seventh_policy_is_left_out():
    six = [line(f"policy {number}") for number in range(6)]
    assert policies_over_time(STARTS, [*six, line("seventh")]) == policies_over_time(STARTS, six)


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [line(HOSTILE)],
        [line("no retraining", verdicts=())],
        [line("gaps", differences=[None] * len(STARTS))],
        [line("infinite", differences=[float("inf")] * len(STARTS))],
    ],
)
def test_a_picture_is_drawn_whatever_the_policies_did(policies):
    size_of(policies_over_time(STARTS, policies))


def test_the_page_recommends_and_names_every_policy_and_the_constant():
    whole = document(policy("static", triggers=()), policy("drift"), policy("weekly", auc=False, f1=None))
    text = text_of(backtest_html(whole, backtest_picture(whole), remarks="Weather follows the seasons."))
    assert "Run drift. log loss 0.2700 with 1 retraining." in text
    for word in ("static", "weekly", "constant predictor", "0.5500", "1 of 1", "Weather follows the seasons."):
        assert word in text


def test_names_and_reasons_are_escaped():
    whole = document(policy("static", triggers=()), policy(HOSTILE))
    assert "<script>" not in backtest_html(whole, b"\x89PNG", remarks=HOSTILE)


def test_a_backtest_of_the_static_policy_alone_has_a_page():
    whole = document(policy("static", triggers=()))
    assert "No policy asked for a retraining." in text_of(backtest_html(whole, backtest_picture(whole)))
