"""The API of a worker inside the test's own process, over servicers that do what the test wants."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from protos.inference import open_inference_pb2
from protos.mlops.v1 import control_pb2, feedback_pb2, prediction_pb2
from serving.api.health import HealthServicer
from serving.api.refusal_log import RefusalLog
from serving.api.server import ApiServer
from serving.security.identity import GRANTED_SCOPES
from serving.security.tokens import create_token
from serving.settings import load_settings

PREDICT = "/mlops.v1.PredictionService/Predict"
BATCH = "/mlops.v1.PredictionService/PredictBatch"
STREAM = "/mlops.v1.PredictionService/PredictStream"
FEEDBACK = "/mlops.v1.FeedbackService/SubmitFeedback"
READ_BACK = "/mlops.v1.FeedbackService/GetPrediction"
RETRAIN = "/mlops.v1.ControlService/TriggerRetraining"
HEALTH = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Tokens:
    """A token file with one token for each scope; `of` gives their texts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.of = {scope: self.create(scope, [scope]) for scope in GRANTED_SCOPES}

    def create(self, name: str, scopes: list[str], lifetime: timedelta | None = None) -> str:
        return create_token(self.path, name=name, scopes=scopes, lifetime=lifetime)[0]


class Servicers:
    """Answers everything at once and remembers who asked; predictions and what is slow wait while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.callers: list[str] = []
        self.threads: list[str] = []
        self.groups: list[int] = []
        self.waited: list[float] = []
        self.retrained: list[str] = []

    def Predict(self, request, context):  # noqa: N802
        self._enter(context)
        return prediction_pb2.PredictResponse(label=request.model)

    def predict_together(self, requests, contexts):
        self.groups.append(len(requests))
        return [self.Predict(request, context) for request, context in zip(requests, contexts, strict=True)]

    def PredictBatch(self, request, context):  # noqa: N802
        self._enter(context)
        return prediction_pb2.PredictBatchResponse(labels=[request.model])

    def PredictStream(self, requests, context):  # noqa: N802
        for request in requests:
            self.waited.append(time.perf_counter() - context.arrived_at)
            answer = prediction_pb2.PredictResponse(label=request.model)
            yield prediction_pb2.PredictStreamResponse(prediction=answer)

    def GetModelInfo(self, request, context):  # noqa: N802
        return prediction_pb2.GetModelInfoResponse()

    def SubmitFeedback(self, request, context):  # noqa: N802
        return feedback_pb2.SubmitFeedbackResponse(accepted=len(request.labels))

    def GetPrediction(self, request, context):  # noqa: N802
        return feedback_pb2.GetPredictionResponse()

    def TriggerRetraining(self, request, context):  # noqa: N802
        if request.model == "broken":
            raise ZeroDivisionError("secret")
        if request.model == "slow":
            self._enter(context)
        self.retrained.append(request.model)
        return control_pb2.TriggerRetrainingResponse(dagster_run_id="r1")

    def _enter(self, context) -> None:
        self.waited.append(time.perf_counter() - context.arrived_at)
        self.callers.append(context.caller.name)
        self.threads.append(threading.current_thread().name)
        self.entered.release()
        assert self.gate.wait(30)

    def table(self) -> dict[Any, object]:
        files = ((prediction_pb2, "PredictionService"), (feedback_pb2, "FeedbackService"))
        services = [file.DESCRIPTOR.services_by_name[name] for file, name in (*files, (control_pb2, "ControlService"))]
        return {
            **dict.fromkeys(services, self),
            open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]: Tensors(),
            health_pb2.DESCRIPTOR.services_by_name["Health"]: HealthServicer(),
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]: reflection.ReflectionServicer(["x"]),
        }


class Tensors:
    """Answers every method of the Open Inference Protocol with an empty message."""

    def __getattr__(self, name: str):
        return lambda request, context: getattr(open_inference_pb2, f"{name}Response")()


class RunningApi:
    """An API and a channel to it that sends and receives bytes."""

    def __init__(self, server: ApiServer, servicers: Servicers, port: int) -> None:
        self.server, self.servicers, self.port, self.pools = server, servicers, port, server.pools
        self.held: list[Any] = []
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])

    def call(self, method: str, content: bytes = b"", *, token: str = "", timeout: float = 10.0) -> bytes:
        headers = [("authorization", f"Bearer {token}")] if token else []
        return self.channel.unary_unary(method)(content, metadata=headers, timeout=timeout)

    def later(self, method: str, content: bytes = b"", *, token: str = "", timeout: float = 10.0):
        headers = [("authorization", f"Bearer {token}")] if token else []
        return self.channel.unary_unary(method).future(content, metadata=headers, timeout=timeout)

    def status(self, method: str, content: bytes = b"", **options: Any) -> grpc.StatusCode:
        """Return how a call ends."""
        try:
            self.call(method, content, **options)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@contextmanager
def running_api(home: Path, **settings: Any) -> Iterator[RunningApi]:
    """Run the API for the time of the block."""
    servicers = Servicers()
    settings = load_settings(home=home, port=0, workers=1, **settings)
    server = ApiServer(settings, servicers.table().items(), RefusalLog())
    running = RunningApi(server, servicers, server.start())
    try:
        yield running
    finally:
        servicers.gate.set()
        running.channel.close()
        server.refuse_new_calls(0)
        server.wait()
