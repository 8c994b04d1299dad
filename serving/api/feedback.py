"""Answers `mlops.v1.FeedbackService`: decode, delegate, encode."""

from datetime import UTC, datetime
from typing import Any

import grpc

from protos.mlops.v1 import feedback_pb2 as pb
from protos.mlops.v1 import feedback_pb2_grpc as pb_grpc
from serving.api import codec
from serving.feedback import Feedback, LabelRow, PredictionLog
from serving.formats.record import RESERVED_NAMES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FeedbackServicer(pb_grpc.FeedbackServiceServicer):
    """Takes labels and shows predictions."""

    def __init__(self, feedback: Feedback, log: PredictionLog) -> None:
        self._feedback, self._log = feedback, log

    def SubmitFeedback(  # noqa: N802
        self, request: pb.SubmitFeedbackRequest, context: grpc.ServicerContext
    ) -> pb.SubmitFeedbackResponse:
        """Journal labels."""
        accepted = self._feedback.submit(request.model, [_label_of(label) for label in request.labels])
        return pb.SubmitFeedbackResponse(accepted=accepted)

    def GetPrediction(  # noqa: N802
        self, request: pb.GetPredictionRequest, context: grpc.ServicerContext
    ) -> pb.GetPredictionResponse:
        """Show what was answered under an id."""
        return _response_of(self._log.find(request.model, request.prediction_id))


def _label_of(label: pb.Label) -> LabelRow:
    observed_at = codec.microseconds_of(label.observed_at) if label.HasField("observed_at") else None
    return LabelRow(label.prediction_id, label.label, observed_at, label.source, label.correction_of)


def _response_of(row: dict[str, Any]) -> pb.GetPredictionResponse:
    # Its own columns, not those of today's contract: the version that answered may have had other features.
    features = {name: value for name, value in row.items() if name not in RESERVED_NAMES}
    return pb.GetPredictionResponse(
        prediction_id=row["prediction_id"],
        request_id=row["request_id"] or "",
        entity_key=row["entity_key"] or "",
        received_at=codec.timestamp_of(_microseconds(row["received_at"])),
        event_time=codec.timestamp_of(_microseconds(row["event_time"])),
        model_version=row["model_version"],
        generation=row["generation"],
        label=row["label"],
        probability=row["score"],
        confidence=row["confidence"],
        numbers={name: value for name, value in features.items() if isinstance(value, float)},
        texts={name: value for name, value in features.items() if isinstance(value, str)},
    )


def _microseconds(time: datetime) -> int:
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
