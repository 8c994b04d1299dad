"""What the client sends and gets, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from protos.mlops.v1 import feedback_pb2, prediction_pb2
from serving.client_values import microseconds_of

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row."""

    prediction_id: str
    label: str
    probability: float
    """Of the positive label."""
    confidence: float
    """Probability of the label that was answered."""
    model_version: str
    generation: int


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one earlier prediction."""

    prediction_id: str
    label: str
    observed_at: datetime | None = None
    source: str = ""
    correction_of: str = ""


@dataclass(frozen=True, slots=True)
class Retraining:
    """The run that retrains; it may have been there before."""

    dagster_run_id: str
    already_running: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a stream; None is a missing value, no event time means the time of receipt."""

    features: Mapping[str, Value]
    entity_key: str = ""
    event_time: datetime | None = None
    request_id: str = ""


def prediction_of(answer: prediction_pb2.PredictResponse) -> Prediction:
    """Return the answer to one row as a value."""
    return Prediction(
        answer.prediction_id,
        answer.label,
        answer.probability,
        answer.confidence,
        answer.model_version,
        answer.generation,
    )


def label_of(label: Label) -> feedback_pb2.Label:
    """Return a label as it travels."""
    entry = feedback_pb2.Label(
        prediction_id=label.prediction_id,
        label=label.label,
        source=label.source,
        correction_of=label.correction_of,
    )
    if label.observed_at is not None:
        entry.observed_at.FromMicroseconds(microseconds_of(label.observed_at))
    return entry
