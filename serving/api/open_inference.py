"""Answers `inference.GRPCInferenceService`, the Open Inference Protocol: decode, delegate, encode."""

from collections.abc import Callable
from pathlib import Path

import grpc

from protos.inference import open_inference_pb2 as pb
from protos.inference import open_inference_pb2_grpc as pb_grpc
from serving.api import tensor_calls, tensor_metadata
from serving.api.call import Call
from serving.build import SERVER_NAME, server_version
from serving.errors import ModelNotFoundError, ModelUnavailableError
from serving.model_statistics import VersionStatistics, version_statistics
from serving.prediction import Predictions
from serving.scoring.host import ModelHost

EXTENSIONS = ("model_configuration", "statistics")


class OpenInferenceServicer(pb_grpc.GRPCInferenceServiceServicer):
    """Scores tensors the same way as rows, and describes models and server.

    Args:
        predictions: Answers calls.
        host: Knows the versions that answer.
        metrics_folder: What all workers measured.
        is_ready: Tells the health of a model, or of the server by the name "".
    """

    def __init__(
        self, predictions: Predictions, host: ModelHost, metrics_folder: Path, is_ready: Callable[[str], bool]
    ) -> None:
        self._predictions, self._host = predictions, host
        self._metrics_folder, self._is_ready = metrics_folder, is_ready
        self._server_version = server_version()

    def ServerLive(  # noqa: N802
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        """Say that this worker answers."""
        return pb.ServerLiveResponse(live=True)

    def ServerReady(  # noqa: N802
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        """Say whether predictions are being answered."""
        return pb.ServerReadyResponse(ready=self._is_ready(""))

    def ModelReady(  # noqa: N802
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        """Say whether a model, or this version of it, is being answered; one that is not known is not."""
        try:
            model = self._host.model(request.name, request.version)
        except (ModelNotFoundError, ModelUnavailableError):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._is_ready(model.name))

    def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name the server and what it answers beyond the protocol's core."""
        return pb.ServerMetadataResponse(name=SERVER_NAME, version=self._server_version, extensions=EXTENSIONS)

    def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Describe inputs and outputs."""
        return tensor_metadata.metadata_of(self._host.model(request.name, request.version))

    def ModelInfer(self, request: pb.ModelInferRequest, context: Call) -> pb.ModelInferResponse:  # noqa: N802
        """Score 1 to 1000 rows."""
        call = tensor_calls.call_of_tensors(request, context.caller.name, context.arrived_at)
        return tensor_calls.response_of(request, self._predictions.predict(call))

    def ModelConfig(  # noqa: N802
        self, request: pb.ModelConfigRequest, context: grpc.ServicerContext
    ) -> pb.ModelConfigResponse:
        """Describe inputs and outputs the way load tools ask for them."""
        model = self._host.model(request.name, request.version)
        return pb.ModelConfigResponse(config=tensor_metadata.config_of(model))

    def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> pb.ModelStatisticsResponse:
        """Count what all workers answered."""
        names = [request.name] if request.name else self._host.names
        return pb.ModelStatisticsResponse(
            model_stats=[each for name in names for each in self._statistics(name, request.version)]
        )

    def _statistics(self, name: str, version: str) -> list[pb.ModelStatistics]:
        """Return the version in production first, then those that answered before, or only the one asked for."""
        counted = version_statistics(self._metrics_folder, name)
        if version not in counted:  # may answer without having been called; production ("") is told first
            counted = {self._host.model(name, version).version: VersionStatistics()} | counted
        told = [version] if version else counted
        return [tensor_metadata.statistics_of(name, each, counted[each]) for each in told]
