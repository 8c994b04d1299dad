"""The gate's evidence as a table, where there is no champion and where nothing could be compared."""

import dagster as dg
import numpy as np

from mlops_assets.assets.evaluation_pictures import gate_metadata
from mlops_assets.core.promotion import decide_promotion
from mlops_assets.spec import GatePolicy

LABELS = (np.arange(400) % 4 == 0).astype(int)


def decided(scores, *, champion=None, **policy):
    return decide_promotion(
        challenger=scores, champion=champion, labels=LABELS, policy=GatePolicy(**policy), prior=0.25, threshold=0.5
    )


def test_a_first_version_stands_beside_the_constant_predictor_alone():
    shown = gate_metadata(decided(np.where(LABELS == 1, 0.9, 0.1)).evidence)["gate"]
    (accuracy,) = (record.data for record in shown.records if record.data["metric"] == "accuracy")
    assert accuracy == {
        "metric": "accuracy",
        "champion": None,
        "challenger": 1.0,
        "difference": None,
        "low": None,
        "high": None,
        "constant": 0.75,
        "margin": None,
    }


def test_a_relative_margin_is_called_so():
    decision = decided(
        np.where(LABELS == 1, 0.9, 0.1),
        champion=np.where(LABELS == 1, 0.6, 0.4),
        metric="log_loss",
        margin=0.01,
        unit="relative",
    )
    margins = {
        record.data["metric"]: record.data["margin"] for record in gate_metadata(decision.evidence)["gate"].records
    }
    assert {name: margin for name, margin in margins.items() if margin} == {"log_loss": "0.01 relative"}


def test_where_nothing_could_be_compared_the_evidence_remains():
    evidence = decided(np.full(400, 0.5), minimum_holdout_rows=500).evidence
    shown = gate_metadata(evidence)
    assert shown["gate"] == dg.MetadataValue.text("nothing was compared")
    assert shown["evidence"] == dg.MetadataValue.json(evidence)
