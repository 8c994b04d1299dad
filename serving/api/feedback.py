"""Answers `mlops.v1.FeedbackService`: decode, delegate, encode."""

from datetime import UTC, datetime
from typing import Any

import grpc

from protos.mlops.v1 import feedback_pb2 as pb
from protos.mlops.v1 import feedback_pb2_grpc as pb_grpc
from serving.api import codec
from serving.feedback import Feedback, LabelRow, PredictionLog
from serving.formats.contract import Contract
from serving.scoring.host import ModelHost

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FeedbackServicer(pb_grpc.FeedbackServiceServicer):
    """Takes labels and shows predictions."""

    def __init__(self, feedback: Feedback, log: PredictionLog, host: ModelHost) -> None:
        self._feedback, self._log, self._host = feedback, log, host

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
        contract = self._host.model(request.model).contract
        return _response_of(self._log.find(request.model, request.prediction_id), contract)


def _label_of(label: pb.Label) -> LabelRow:
    observed_at = codec.microseconds_of(label.observed_at) if label.HasField("observed_at") else None
    return LabelRow(label.prediction_id, label.label, observed_at, label.source, label.correction_of)


def _response_of(row: dict[str, Any], contract: Contract) -> pb.GetPredictionResponse:
    numbers = {f.name: row[f.name] for f in contract.numbers if row.get(f.name) is not None}
    texts = {f.name: row[f.name] for f in contract.texts if row.get(f.name) is not None}
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
        numbers=numbers,
        texts=texts,
    )


def _microseconds(time: datetime) -> int:
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
