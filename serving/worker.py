"""One worker process: a gRPC server on the shared port, its journal, and the host of its models."""

import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protos.mlops.v1 import control_pb2, feedback_pb2, prediction_pb2
from serving.api.control import ControlServicer
from serving.api.feedback import FeedbackServicer
from serving.api.grpc_status import status_name_of
from serving.api.prediction import PredictionServicer
from serving.api.services import add_service
from serving.call_meter import CallMeter
from serving.errors import ServingError
from serving.feedback import Feedback, PredictionLog
from serving.formats.release import ReleaseStore
from serving.journal.append import Journal
from serving.lifeline import prepare_process, stop_event, tell
from serving.metrics import JOURNAL_WRITABLE
from serving.orchestrator import Orchestrator
from serving.prediction import Predictions
from serving.scoring.host import ModelHost
from serving.scoring.last_known_good import LastKnownGood
from serving.settings import ServingSettings, load_settings
from serving.ticker import Ticker

_WATCH_SECONDS = 0.1
_FLUSH_SECONDS = 0.1
_SERVICES = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (prediction_pb2, "PredictionService"),
        (feedback_pb2, "FeedbackService"),
        (control_pb2, "ControlService"),
    )
]

_log = logging.getLogger(__name__)


class Worker:
    """Answers from `start` to `drain`."""

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        self._journal = Journal(settings.journals, seal_seconds=settings.seal_seconds, durability=settings.durability)
        self._host = ModelHost(ReleaseStore(settings.release_store), LastKnownGood(settings.cache))
        self._meter = CallMeter()
        self._health = health.HealthServicer()
        self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        self._healthy: dict[str, bool] = {}
        self._server = self._build()
        self._tickers = [
            Ticker(self._host.poll, seconds=settings.poll_seconds, name="release-poller"),
            Ticker(self._journal.tick, seconds=settings.seal_seconds / 5, name="journal-ticker"),
            Ticker(self._meter.flush, seconds=_FLUSH_SECONDS, name="meter-ticker"),
        ]

    def start(self) -> None:
        """Load what is promoted, then listen."""
        self._host.poll()
        self._server.add_insecure_port(self._settings.address)
        self._server.start()
        for ticker in self._tickers:
            ticker.start()
        tell(state="listening")

    def watch(self, stopping: threading.Event) -> None:
        """Report readiness until the worker is to stop, or must be replaced because its journal is gone."""
        while not stopping.wait(_WATCH_SECONDS) and not self._journal.lost:
            self._report(writable=self._journal.writable)

    def drain(self) -> int:
        """Answer what was accepted, then seal the journal; returns the exit code."""
        self._report(writable=False)
        self._server.stop(self._settings.grace_seconds).wait()
        for ticker in self._tickers:
            ticker.stop()
        self._meter.flush()
        self._journal.close()
        return int(self._journal.lost)

    def _report(self, *, writable: bool) -> None:
        names = self._host.names
        now = dict.fromkeys(names, writable) | {"": writable and bool(names)}
        gone = dict.fromkeys(self._healthy.keys() - now.keys(), False)
        JOURNAL_WRITABLE.set(writable)
        for name, is_healthy in (now | gone).items():
            if self._healthy.get(name) != is_healthy:
                status = health_pb2.HealthCheckResponse
                self._health.set(name, status.SERVING if is_healthy else status.NOT_SERVING)
        if self._healthy.get("") != now[""]:
            tell(state="ready" if now[""] else "listening")
        self._healthy = now | gone

    def _build(self) -> grpc.Server:
        settings = self._settings
        server = grpc_server(settings)
        predictions = Predictions(self._host, self._journal, self._meter, status_of=status_name_of)
        feedback = Feedback(self._host, self._journal)
        log = PredictionLog(settings.lake, settings.journals)
        servicers = (
            PredictionServicer(predictions, self._host),
            FeedbackServicer(feedback, log, self._host),
            ControlServicer(Orchestrator(settings)),
        )
        for service, servicer in zip(_SERVICES, servicers, strict=True):
            add_service(server, service, servicer)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.full_name for service in _SERVICES]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        return server


def grpc_server(settings: ServingSettings) -> grpc.Server:
    """Return a server without services."""
    return grpc.server(
        ThreadPoolExecutor(settings.threads, thread_name_prefix="call"),
        options=[
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", settings.maximum_message_bytes),
            ("grpc.max_send_message_length", settings.maximum_message_bytes),
        ],
    )


def main() -> int:
    """Run one worker until the supervisor lets go."""
    prepare_process()
    stopping = stop_event(on_terminate=True)
    try:
        worker = Worker(load_settings())
        worker.start()
    except (ServingError, RuntimeError) as error:  # grpcio raises RuntimeError for a port that it can not bind
        _log.error("%s", error)
        return 1
    worker.watch(stopping)
    return worker.drain()


if __name__ == "__main__":
    sys.exit(main())
