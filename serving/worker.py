"""One worker process: a gRPC server on the shared port, its journal, and the host of its models."""

import gc
import logging
import sys
import threading
from types import ModuleType

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from protos.inference import open_inference_pb2
from protos.mlops.v1 import control_pb2, feedback_pb2, prediction_pb2
from serving.api.control import ControlServicer
from serving.api.feedback import FeedbackServicer
from serving.api.grpc_status import status_name_of
from serving.api.health import HealthServicer
from serving.api.open_inference import OpenInferenceServicer
from serving.api.prediction import PredictionServicer
from serving.api.refusal_log import RefusalLog
from serving.api.server import ApiServer
from serving.call_meter import CallMeter
from serving.errors import ServingError
from serving.feedback import Feedback, PredictionLog
from serving.formats.release import ReleaseStore
from serving.formats.signature import TrustedKeys
from serving.journal.append import Journal
from serving.lifeline import keep_pandas_out, stop_event, tell
from serving.logs import configure_logging
from serving.metrics import JOURNAL_WRITABLE
from serving.orchestrator import Orchestrator
from serving.prediction import Predictions
from serving.scoring.host import ModelHost
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.loading import ModelLoader
from serving.settings import ServingSettings, load_settings
from serving.ticker import Ticker, seconds_to_tick

_WATCH_SECONDS = 0.1
_FLUSH_SECONDS = 0.1

_log = logging.getLogger(__name__)


class Worker:
    """Answers from `start` to `drain`."""

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        self._journal = Journal(settings.journals, seal_seconds=settings.seal_seconds, durability=settings.durability)
        self._host = ModelHost(
            ReleaseStore(settings.release_store),
            LastKnownGood(settings.cache),
            ModelLoader(TrustedKeys(settings.trusted_keys)),
            pinned_versions=settings.pinned_versions,
        )
        self._meter = CallMeter()
        self._health = HealthServicer()
        self._healthy: dict[str, bool] = {}
        self._refusals = RefusalLog()
        self._server = ApiServer(settings, self._servicers().items(), self._refusals)
        self._tickers = [
            Ticker(self._host.poll, seconds=settings.poll_seconds, name="release-poller"),
            Ticker(self._journal.tick, seconds=settings.seal_seconds / 5, name="journal-ticker"),
            Ticker(self._meter.flush, seconds=_FLUSH_SECONDS, name="meter-ticker"),
        ]

    def start(self) -> None:
        """Load what is promoted, then listen."""
        self._host.poll()
        # What is loaded now stays: the collector need not walk through it while calls wait.
        gc.collect()
        gc.freeze()
        self._server.start()
        for ticker in self._tickers:
            ticker.start()
        tell(state="listening")

    def watch(self, stopping: threading.Event) -> None:
        """Report readiness until the worker is to stop, or must be replaced because its journal is gone."""
        while not stopping.wait(seconds_to_tick(_WATCH_SECONDS)) and not self._journal.lost:
            JOURNAL_WRITABLE.set(self._journal.writable)
            self._report(self._trouble)

    def drain(self) -> int:
        """Answer what was accepted, then seal the journal; returns the exit code."""
        self._report(self._trouble if self._journal.lost else "draining")
        self._server.refuse_new_calls(self._settings.grace_seconds)
        self._health.end_watches()
        self._server.wait()
        for ticker in self._tickers:
            ticker.stop()
        self._meter.flush()
        self._journal.close()
        return int(self._journal.lost)

    @property
    def _trouble(self) -> str:
        """What is wrong with the journal, and where; its own words reach clients and name no path."""
        trouble = self._journal.trouble
        return f"{trouble} ({self._settings.journals})" if trouble else ""

    def _report(self, trouble: str) -> None:
        names = self._host.names
        now = dict.fromkeys(names, not trouble) | {"": not trouble and bool(names)}
        gone = dict.fromkeys(self._healthy.keys() - now.keys(), False)
        for name, is_healthy in (now | gone).items():
            if self._healthy.get(name) != is_healthy:
                self._health.report(name, is_healthy=is_healthy)
        if self._healthy.get("") != now[""]:
            self._tell_readiness(names, trouble)
        self._healthy = now | gone

    def _tell_readiness(self, names: list[str], trouble: str) -> None:
        if names and not trouble:
            tell(state="ready")
            _log.info("ready: %s", ", ".join(names))
        else:
            tell(state="listening")
            _log.warning("not ready: %s", trouble or "no model")

    def _is_ready(self, name: str) -> bool:
        return self._healthy.get(name, False)

    def _servicers(self) -> dict[ServiceDescriptor, object]:
        settings = self._settings
        predictions = Predictions(self._host, self._journal, self._meter, status_of=status_name_of)
        feedback = Feedback(self._host, self._journal)
        log = PredictionLog(settings.lake, settings.journals)
        tensors = OpenInferenceServicer(predictions, self._host, settings.metrics_folder, self._is_ready)
        servicers: dict[ServiceDescriptor, object] = {
            _service(prediction_pb2, "PredictionService"): PredictionServicer(predictions, self._host, self._refusals),
            _service(feedback_pb2, "FeedbackService"): FeedbackServicer(feedback, log),
            _service(control_pb2, "ControlService"): ControlServicer(Orchestrator(settings)),
            _service(open_inference_pb2, "GRPCInferenceService"): tensors,
            _service(health_pb2, "Health"): self._health,
        }
        if settings.reflection_access != "off":
            names = [service.full_name for service in servicers]
            servicer = reflection.ReflectionServicer([*names, reflection.SERVICE_NAME])
            servicers[_service(reflection_pb2, "ServerReflection")] = servicer
        return servicers


def _service(file: ModuleType, name: str) -> ServiceDescriptor:
    service: ServiceDescriptor = file.DESCRIPTOR.services_by_name[name]
    return service


def main() -> int:
    """Run one worker until the supervisor lets go."""
    keep_pandas_out()
    stopping = stop_event(on_terminate=True)
    settings = load_settings()
    configure_logging(settings.log_format, role="worker")
    try:
        worker = Worker(settings)
        worker.start()
    except (ServingError, RuntimeError) as error:  # RuntimeError: the port can not be bound
        _log.error("%s", error)
        return 1
    worker.watch(stopping)
    return worker.drain()


if __name__ == "__main__":
    sys.exit(main())
