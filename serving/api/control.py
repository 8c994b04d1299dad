"""Answers `mlops.v1.ControlService`: decode, delegate, encode."""

import grpc

from protos.mlops.v1 import control_pb2 as pb
from protos.mlops.v1 import control_pb2_grpc as pb_grpc
from serving.orchestrator import Orchestrator
from serving.security.identity import CALLER


class ControlServicer(pb_grpc.ControlServiceServicer):
    """Takes an operator's calls."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def TriggerRetraining(  # noqa: N802
        self, request: pb.TriggerRetrainingRequest, context: grpc.ServicerContext
    ) -> pb.TriggerRetrainingResponse:
        """Launch a retraining, or name the one that runs."""
        actor = CALLER.get().name or request.actor
        launch = self._orchestrator.retrain(request.model, reason=request.reason, actor=actor)
        return pb.TriggerRetrainingResponse(dagster_run_id=launch.run_id, already_running=launch.already_running)
