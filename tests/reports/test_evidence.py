import pytest

from mlops_assets.reports.html.evidence import Measured, gate_evidence

INTERVAL = {"value": 0.28, "low": 0.27, "high": 0.29}


@pytest.mark.parametrize(
    "evidence",
    [
        {"champion": {"log_loss": 0.3}, "challenger": {"log_loss": INTERVAL}},
        {"log_loss": {"champion": 0.3, "challenger": [0.28, 0.27, 0.29]}},
        {"champion_log_loss": 0.3, "challenger_log_loss": INTERVAL},
    ],
    ids=["by side", "by metric", "flat"],
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
