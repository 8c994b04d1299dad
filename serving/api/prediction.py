"""Answers `mlops.v1.PredictionService`: decode, delegate, encode."""

from collections.abc import Iterator
from datetime import UTC, datetime

import grpc

from protos.mlops.v1 import prediction_pb2 as pb
from protos.mlops.v1 import prediction_pb2_grpc as pb_grpc
from serving.api import codec
from serving.api.grpc_status import status_message_of, status_of
from serving.errors import ServingError
from serving.formats.contract import Contract
from serving.prediction import Predictions
from serving.scoring.host import LoadedModel, ModelHost
from serving.security.identity import CALLER


class PredictionServicer(pb_grpc.PredictionServiceServicer):
    """Scores rows and describes the version that does."""

    def __init__(self, predictions: Predictions, host: ModelHost) -> None:
        self._predictions, self._host = predictions, host

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:  # noqa: N802
        """Score one row."""
        return codec.response_of_one(self._predictions.predict(codec.call_of_one(request, CALLER.get().name)))

    def PredictBatch(  # noqa: N802
        self, request: pb.PredictBatchRequest, context: grpc.ServicerContext
    ) -> pb.PredictBatchResponse:
        """Score 1 to 1000 rows."""
        return codec.response_of_batch(self._predictions.predict(codec.call_of_batch(request, CALLER.get().name)))

    def PredictStream(  # noqa: N802
        self, requests: Iterator[pb.PredictRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.PredictStreamResponse]:
        """Score rows one by one; what is wrong with a row is the answer to it."""
        for request in requests:
            try:
                yield pb.PredictStreamResponse(prediction=self.Predict(request, context))
            except ServingError as error:
                if status_of(error) is grpc.StatusCode.UNAVAILABLE:
                    raise  # the server's trouble, not the row's: the client sends it again, to another one or later
                yield pb.PredictStreamResponse(error=status_message_of(error))

    def GetModelInfo(  # noqa: N802
        self, request: pb.GetModelInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetModelInfoResponse:
        """Describe the version that answers now."""
        return _info_of(self._host.model(request.model))


def _info_of(model: LoadedModel) -> pb.GetModelInfoResponse:
    manifest, contract = model.manifest, model.contract
    created_at = datetime.fromisoformat(manifest.created_at)
    return pb.GetModelInfoResponse(
        model=model.name,
        model_version=model.version,
        generation=model.generation,
        bundle_digest=model.digest,
        algorithm=manifest.algorithm,
        data_version=manifest.data_version,
        code_version=manifest.code_version,
        mlflow_run_id=manifest.mlflow_run_id,
        dagster_run_id=manifest.dagster_run_id,
        created_at=created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC),
        metrics=manifest.metrics,
        features=_features_of(contract),
        negative_label=contract.negative,
        positive_label=contract.positive,
        threshold=contract.threshold,
    )


def _features_of(contract: Contract) -> list[pb.FeatureInfo]:
    numbers = [
        pb.FeatureInfo(
            name=feature.name,
            kind="number",
            nullable=feature.nullable,
            minimum=feature.minimum,
            maximum=feature.maximum,
            integer=feature.integer,
        )
        for feature in contract.numbers
    ]
    texts = [
        pb.FeatureInfo(
            name=feature.name,
            kind="text",
            nullable=feature.nullable,
            categories=feature.categories,
            open=feature.open,
        )
        for feature in contract.texts
    ]
    return [*numbers, *texts]
