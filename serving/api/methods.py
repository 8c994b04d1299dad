"""What every method that this server answers asks of its caller, and what it may cost: the one table."""

from dataclasses import dataclass
from typing import Literal

from serving.security.identity import Scope

PoolName = Literal["scoring", "waiting", "streams", "watches", "probes"]
"""Threads are kept apart so that one kind of call can not starve another: what computes, what waits for the lake or
for Dagster, what keeps its thread for as long as a client likes, and what asks for health or watches it."""

_KIB = 1024


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """The terms of one method; `audited` calls change something outside of this server."""

    scope: Scope
    pool: PoolName
    maximum_bytes: int
    """Of one request message; the limit of the transport holds as well."""
    audited: bool = False
    together: str = ""
    """The servicer's method that answers many calls at once, where there is one."""


METHODS: dict[str, MethodPolicy] = {
    "/mlops.v1.PredictionService/Predict": MethodPolicy("predict", "scoring", 256 * _KIB, together="predict_together"),
    "/mlops.v1.PredictionService/PredictBatch": MethodPolicy("predict", "scoring", 4096 * _KIB),
    "/mlops.v1.PredictionService/PredictStream": MethodPolicy("predict", "streams", 256 * _KIB),
    "/mlops.v1.PredictionService/GetModelInfo": MethodPolicy("predict", "scoring", 4 * _KIB),
    "/mlops.v1.FeedbackService/SubmitFeedback": MethodPolicy("feedback", "scoring", 4096 * _KIB),
    "/mlops.v1.FeedbackService/GetPrediction": MethodPolicy("feedback", "waiting", 4 * _KIB),
    "/mlops.v1.ControlService/TriggerRetraining": MethodPolicy("operate", "waiting", 8 * _KIB, audited=True),
    "/inference.GRPCInferenceService/ServerLive": MethodPolicy("health", "probes", 4 * _KIB),
    "/inference.GRPCInferenceService/ServerReady": MethodPolicy("health", "probes", 4 * _KIB),
    "/inference.GRPCInferenceService/ModelReady": MethodPolicy("predict", "scoring", 4 * _KIB),
    "/inference.GRPCInferenceService/ServerMetadata": MethodPolicy("predict", "scoring", 4 * _KIB),
    "/inference.GRPCInferenceService/ModelMetadata": MethodPolicy("predict", "scoring", 4 * _KIB),
    "/inference.GRPCInferenceService/ModelInfer": MethodPolicy("predict", "scoring", 4096 * _KIB),
    "/inference.GRPCInferenceService/ModelConfig": MethodPolicy("predict", "scoring", 4 * _KIB),
    "/inference.GRPCInferenceService/ModelStatistics": MethodPolicy("predict", "waiting", 4 * _KIB),
    "/grpc.health.v1.Health/Check": MethodPolicy("health", "probes", 4 * _KIB),
    "/grpc.health.v1.Health/Watch": MethodPolicy("health", "watches", 4 * _KIB),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": MethodPolicy("reflection", "streams", 4 * _KIB),
}
