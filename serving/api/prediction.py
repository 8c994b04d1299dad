"""Answers `mlops.v1.PredictionService`: decode, delegate, encode."""

from collections.abc import Iterator, Sequence

import grpc

from protos.mlops.v1 import prediction_pb2 as pb
from protos.mlops.v1 import prediction_pb2_grpc as pb_grpc
from serving.api import codec
from serving.api.call import Call
from serving.api.grpc_status import status_message_of, status_of
from serving.api.model_info import info_of
from serving.api.refusal_log import RefusalLog
from serving.errors import ServingError
from serving.prediction import Predictions
from serving.scoring.host import ModelHost


class PredictionServicer(pb_grpc.PredictionServiceServicer):
    """Scores rows and describes the versions that do."""

    def __init__(self, predictions: Predictions, host: ModelHost, refusals: RefusalLog) -> None:
        self._predictions, self._host, self._refusals = predictions, host, refusals

    def Predict(self, request: pb.PredictRequest, context: Call) -> pb.PredictResponse:  # noqa: N802
        """Score one row."""
        call = codec.call_of_one(request, context.caller.name, context.arrived_at)
        return codec.response_of_one(self._predictions.predict(call))

    def predict_together(
        self, requests: Sequence[pb.PredictRequest], contexts: Sequence[Call]
    ) -> list[pb.PredictResponse | Exception]:
        """Do what `Predict` does for calls that wait at the same time."""
        calls = [
            codec.call_of_one(request, context.caller.name, context.arrived_at)
            for request, context in zip(requests, contexts, strict=True)
        ]
        outcomes = self._predictions.predict_together(calls)
        return [one if isinstance(one, Exception) else codec.response_of_one(one) for one in outcomes]

    def PredictBatch(self, request: pb.PredictBatchRequest, context: Call) -> pb.PredictBatchResponse:  # noqa: N802
        """Score 1 to 1000 rows."""
        call = codec.call_of_batch(request, context.caller.name, context.arrived_at)
        return codec.response_of_batch(self._predictions.predict(call))

    def PredictStream(  # noqa: N802
        self, requests: Iterator[pb.PredictRequest], context: Call
    ) -> Iterator[pb.PredictStreamResponse]:
        """Score rows one by one; what is wrong with a row is the answer to it."""
        for request in requests:
            try:
                yield pb.PredictStreamResponse(prediction=self.Predict(request, context))
            except ServingError as error:
                if status_of(error) is grpc.StatusCode.UNAVAILABLE:
                    raise  # the server's trouble, not the row's: the client sends it again, to another one or later
                self._refusals.note(error, method=context.method, metadata=context.metadata, request=request)
                status = status_message_of(error)
                refusal = pb.Refusal(code=status.code, message=status.message, details=status.details)
                yield pb.PredictStreamResponse(error=refusal)

    def GetModelInfo(  # noqa: N802
        self, request: pb.GetModelInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetModelInfoResponse:
        """Describe the version that answers now, or the one that the call names."""
        model = self._host.model(request.model, request.version)
        return info_of(model, self._host.placement(model))
