"""Calls as `Predictions` takes them."""

import numpy as np

from protos.mlops.v1 import prediction_pb2
from serving.api import codec
from serving.client_values import column_of
from serving.prediction import PredictionCall
from tests.serving.toy import MODEL, ROW


def call_of(row: dict, *, model: str = MODEL, **fields: object) -> PredictionCall:
    """Return a call for one row."""
    numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    return codec.call_of_one(prediction_pb2.PredictRequest(model=model, numbers=numbers, texts=texts, **fields))


def batch_of(distances: list[float], **fields: object) -> PredictionCall:
    """Return a call for rows that differ in their distances."""
    columns = {name: np.array([ROW[name]] * len(distances)) for name in ("hour", "carrier", "origin")}
    columns["distance"] = np.array(distances)
    kinds = {"carrier": "text", "origin": "text"}
    sent = [column_of(name, values, lambda name: kinds.get(name, "number")) for name, values in columns.items()]
    return codec.call_of_batch(prediction_pb2.PredictBatchRequest(model=MODEL, columns=sent, **fields))
