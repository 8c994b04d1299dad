from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from mlops_assets.reports.figures import FeatureHistogram

HOSTILE = '<script>alert("x")</script> $\\frac{1} & _*`[a](b) \u2603 \U0001f4a9 \u6f22\u5b57 \n\t\x00' + "w" * 300


def _sides(**values: float | None) -> dict[str, Any]:
    return dict(values)


def window(number: int) -> dict[str, Any]:
    month, day = divmod(number, 28)
    start = f"2013-{month % 12 + 1:02d}-{day + 1:02d}T05:00:00+00:00"
    return {
        "start": start,
        "end": start,
        "rows": 6300 + number,
        "labels": 6200 + number,
        "drifted_features": ["temperature", "pressure"][: number % 3],
        "accuracy": 0.89,
        "auc": 0.91,
        "log_loss": 0.28,
        "model_version": str(1 + number // 3),
        "trigger": "drift" if number % 3 == 2 else None,
        "verdict": "promote" if number % 3 == 2 else None,
        "frozen": {"accuracy": 0.88, "auc": 0.9, "log_loss": 0.29},
        "constant": {"accuracy": 0.76, "auc": 0.5, "log_loss": 0.55},
    }


_SUMMARY: dict[str, Any] = {
    "model": "flight_delay",
    "windows": [window(number) for number in range(10)],
    "totals": {
        "loop": {"accuracy": 0.8951, "auc": 0.9102, "log_loss": 0.2760},
        "frozen": {"accuracy": 0.8903, "auc": 0.8989, "log_loss": 0.2905},
        "constant": {"accuracy": 0.7612, "auc": 0.5, "log_loss": 0.5494},
    },
    "retrainings": [
        {
            "trigger": "drift",
            "reason": "three consecutive drifted windows",
            "candidate_version": "2",
            "verdict": "promote",
            "evidence": {
                "metric": "log_loss",
                "champion": {"log_loss": {"value": 0.2904, "low": 0.2799, "high": 0.301}},
                "challenger": {"log_loss": {"value": 0.2751, "low": 0.265, "high": 0.2853}},
                "constant": {"log_loss": 0.5521},
                "holdout_rows": 6244,
            },
            "seconds_from_trigger_to_first_answer": 31.4,
        }
    ],
    "calls": 68211,
    "failed_calls": 0,
    "acknowledged_predictions": 63480,
    "logged_predictions": 63480,
    "duplicate_predictions": 0,
    "wall_seconds": 431.2,
}


@pytest.fixture
def summary() -> dict[str, Any]:
    return deepcopy(_SUMMARY)


def number_histogram(name: str, *, drifted: bool = False, shift: float = 0.0) -> FeatureHistogram:
    reference = np.full(10, 0.09)
    current = reference * np.linspace(1 - shift, 1 + shift, 10)
    edges = [-np.inf, *range(1, 10), np.inf]
    return FeatureHistogram(
        name=name,
        kind="number",
        edges=edges,
        labels=["missing"],
        reference=[*reference, 0.1],
        current=[*current, 0.1],
        drifted=drifted,
        note="PSI 0.012",
    )


def category_histogram(name: str, n_categories: int) -> FeatureHistogram:
    shares = [1 / n_categories] * n_categories
    labels = [f"category {number}" for number in range(n_categories)]
    return FeatureHistogram(name=name, kind="category", labels=labels, reference=shares, current=shares)
