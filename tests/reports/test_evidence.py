import numpy as np
import pytest

from mlops_assets.core.promotion import decide_promotion
from mlops_assets.reports.html.evidence import Measured, gate_evidence
from mlops_assets.spec import GatePolicy

INTERVAL = {"value": 0.28, "low": 0.27, "high": 0.29}


@pytest.mark.parametrize(
    "evidence",
    [
        {"champion": {"log_loss": 0.3}, "challenger": {"log_loss": INTERVAL}},
        {"log_loss": {"champion": 0.3, "challenger": [0.28, 0.27, 0.29]}},
        {"champion_log_loss": 0.3, "challenger_log_loss": INTERVAL},
        {"champion": {"log_loss": 0.3}, "challenger": {"log_loss": 0.28, "log_loss_low": 0.27, "log_loss_high": 0.29}},
    ],
    ids=["by side", "by metric", "flat", "bounds beside the value"],
)
def test_each_way_to_write_evidence_gives_the_same_table(evidence):
    table = gate_evidence(evidence)
    assert table.sides == ("champion", "challenger")
    assert table.rows == (("log_loss", {"champion": Measured(0.3), "challenger": Measured(0.28, 0.27, 0.29)}),)
    assert table.facts == ()


def test_what_is_not_a_metric_of_a_side_is_a_fact():
    evidence = {"champion_version": "1", "champion": None, "difference": {"log_loss": INTERVAL}, "holdout_rows": 6244}
    assert gate_evidence(evidence).facts == (
        ("champion version", "1"),
        ("champion", "\u2013"),
        ("difference, log loss", "0.2800 (0.2700 to 0.2900)"),
        ("holdout rows", "6244"),
    )


def test_nothing_inside_a_side_is_lost():
    table = gate_evidence({"challenger": {"log_loss": 0.3, "version": "2", "rows": {"train": 5}}})
    assert table.rows == (("log_loss", {"challenger": Measured(0.3)}),)
    assert table.facts == (("challenger, version", "2"), ("challenger, rows, train", "5"))


@pytest.mark.parametrize("evidence", [None, {}, "insufficient", ["a", 1], 3.5])
def test_evidence_of_any_type_is_taken(evidence):
    assert gate_evidence(evidence).rows == ()


def test_the_evidence_of_the_gate_itself_makes_a_table_of_all_sides():
    generator = np.random.default_rng(7)
    labels = (generator.random(800) < 0.3).astype(int)
    good, poor = (np.clip(0.3 + weight * (labels - 0.3), 0.01, 0.99) for weight in (0.8, 0.4))
    decision = decide_promotion(
        challenger=good, champion=poor, labels=labels, policy=GatePolicy(metric="log_loss"), prior=0.3, threshold=0.5
    )
    table = gate_evidence(decision.evidence)
    assert table.sides == ("champion", "challenger", "paired_difference", "constant")
    metrics = dict(table.rows)
    assert metrics["log_loss"]["challenger"].low is not None
    assert metrics["accuracy"]["paired_difference"].high is not None
    assert ("minimum holdout rows", "100") in table.facts
