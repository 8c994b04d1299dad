"""Rows of the two logs for tests, with plain defaults."""

from datetime import date, datetime
from typing import Any

import pyarrow as pa

from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec
from serving.formats.record import FEEDBACK_SCHEMA, prediction_schema


def log_predictions(lake: Lake, spec: ModelSpec, rows: list[dict[str, Any]]) -> int:
    """Append prediction records; each row needs prediction_id, event_time and the features."""
    table = pa.Table.from_pylist([_prediction(row) for row in rows], schema=prediction_schema(spec.contract))
    return lake.append(spec.name, "predictions", table)


def log_labels(lake: Lake, spec: ModelSpec, rows: list[dict[str, Any]]) -> int:
    """Append labels; each row needs prediction_id, label and observed_at."""
    return lake.append(spec.name, "feedback", pa.Table.from_pylist([_label(r) for r in rows], schema=FEEDBACK_SCHEMA))


def _prediction(row: dict[str, Any]) -> dict[str, Any]:
    received: datetime = row.get("received_at", row["event_time"])
    return {
        "request_id": None,
        "row": 0,
        "received_at": received,
        "entity_key": row["prediction_id"],
        "model_version": "1",
        "generation": 1,
        "role": "production",
        "score": 0.3,
        "label": "no",
        "confidence": 0.7,
        "journal": "j",
        "sequence": 0,
        "received_date": received.date(),
        **row,
    }


def _label(row: dict[str, Any]) -> dict[str, Any]:
    received: datetime = row.get("received_at", row["observed_at"])
    return {
        "source": "test",
        "correction_of": None,
        "received_at": received,
        "journal": "j",
        "sequence": 0,
        "received_date": received.date() if received else date(2024, 1, 1),
        **row,
    }
