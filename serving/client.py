"""A small Python client: rows or columns in, predictions out, retries that are safe.

Example:
    with Client("127.0.0.1:50051") as client:
        prediction = client.predict("flight_delay", {"distance": 1400, "carrier": "UA"})
        client.feedback("flight_delay", [Label(prediction.prediction_id, "late")])
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.mlops.v1 import control_pb2, control_pb2_grpc, feedback_pb2, feedback_pb2_grpc, prediction_pb2
from protos.mlops.v1.prediction_pb2_grpc import PredictionServiceStub
from serving.client_channel import NONE, Credentials, open_channel
from serving.client_errors import error_of, error_of_status, seconds_to_retry
from serving.client_messages import Label, Prediction, Retraining, Row, Value, label_of, prediction_of
from serving.client_stream import stream_answers
from serving.client_values import column_of, maps_of, microseconds_of
from serving.errors import ServingError

__all__ = ["Client", "Label", "PendingPrediction", "Prediction", "Retraining", "Row"]

MAXIMUM_LABELS_A_CALL = 1000
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_CLOSING_SECONDS = 1.0

T = TypeVar("T")


class PendingPrediction:
    """A prediction that is on its way."""

    def __init__(self, call: Any, again: Callable[[], Prediction]) -> None:
        self._call, self._again = call, again

    def result(self) -> Prediction:
        """Wait for the answer; asks again under the same request id if the server was not available."""
        try:
            return prediction_of(self._call.result())
        except grpc.FutureCancelledError:
            return self._again()
        except grpc.RpcError as error:
            if seconds_to_retry(error) is None:
                raise error_of(error) from None
            return self._again()


class Client:
    """Talks to one server; safe to share between threads.

    Args:
        address: `host:port`.
        timeout_seconds: Patience with one attempt.
        retry_seconds: How long a server that is away or busy is asked again; 0: never.
        connections: Connections to open; each is answered by one worker.
        credentials: For a server that asks for them.

    Raises:
        SettingsError: The credentials can not be used.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = 10.0,
        retry_seconds: float = 10.0,
        connections: int = 1,
        credentials: Credentials = NONE,
    ) -> None:
        self._timeout, self._patience = timeout_seconds, retry_seconds
        self._channels = [open_channel(address, credentials) for _ in range(connections)]
        self._stubs = [PredictionServiceStub(channel) for channel in self._channels]  # type: ignore[no-untyped-call]
        self._turn = 0
        self._feedback = feedback_pb2_grpc.FeedbackServiceStub(self._channels[0])  # type: ignore[no-untyped-call]
        self._control = control_pb2_grpc.ControlServiceStub(self._channels[0])  # type: ignore[no-untyped-call]
        self._health = health_pb2_grpc.HealthStub(self._channels[0])
        self._kinds: dict[tuple[str, str], dict[str, str]] = {}

    def predict(
        self,
        model: str,
        row: Mapping[str, Value],
        *,
        entity_key: str = "",
        event_time: datetime | None = None,
        request_id: str = "",
        version: str = "",
    ) -> Prediction:
        """Score one row; None is a missing value. An empty version is the one in production.

        Raises:
            ContractError: The row breaks the model's contract; carries every violation.
            ServingError: Any other refusal.
        """
        request = self._request_of(model, row, entity_key, event_time, request_id, version)
        return self._predict(request)

    def predict_future(
        self,
        model: str,
        row: Mapping[str, Value],
        *,
        entity_key: str = "",
        event_time: datetime | None = None,
        request_id: str = "",
    ) -> PendingPrediction:
        """Send one row and go on; for many calls in flight from one thread."""
        request = self._request_of(model, row, entity_key, event_time, request_id)
        call = self._stub().Predict.future(request, timeout=self._timeout)
        return PendingPrediction(call, lambda: self._predict(request))

    def predict_stream(
        self, model: str, rows: Iterable[Row], *, version: str = ""
    ) -> Iterator[Prediction | ServingError]:
        """Score rows one after the other over one call, and give their answers in the same order.

        A row that is refused has its error as the answer. Rows are read on another thread, as fast as the server
        takes them; a server that stops is followed by the next without a row lost or logged twice.

        Raises:
            ServingError: The server could not be reached, or refused more than a row.
        """
        requests = (
            self._request_of(model, row.features, row.entity_key, row.event_time, row.request_id, version)
            for row in rows
        )
        stub = self._stub()
        for answer in stream_answers(stub.PredictStream, requests, retry_seconds=self._patience):
            yield error_of_status(answer.error) if answer.HasField("error") else prediction_of(answer.prediction)

    def predict_batch(
        self,
        model: str,
        columns: Mapping[str, Sequence[Value]],
        *,
        entity_keys: Sequence[str] = (),
        event_times: Sequence[datetime] = (),
        request_id: str = "",
        version: str = "",
    ) -> list[Prediction]:
        """Score 1 to 1000 rows given as columns of equal length; None and NaN are missing values."""

        def kind_of(name: str) -> str:
            return self._kind(model, version, name)

        request = prediction_pb2.PredictBatchRequest(
            model=model,
            columns=[column_of(name, values, kind_of) for name, values in columns.items()],
            entity_keys=entity_keys,
            event_times_us=[microseconds_of(time) for time in event_times],
            request_id=request_id or uuid.uuid4().hex,
            version=version,
        )
        stub = self._stub()
        answer = self._call(lambda: stub.PredictBatch(request, timeout=self._timeout))
        rows = zip(answer.prediction_ids, answer.labels, answer.probabilities, answer.confidences, strict=True)
        return [Prediction(*row, answer.model_version, answer.generation) for row in rows]

    def feedback(self, model: str, labels: Iterable[Label]) -> int:
        """Send labels, in calls of at most 1000, and return how many were accepted."""
        entries = [label_of(label) for label in labels]
        accepted = 0
        for start in range(0, len(entries), MAXIMUM_LABELS_A_CALL):
            part = entries[start : start + MAXIMUM_LABELS_A_CALL]
            request = feedback_pb2.SubmitFeedbackRequest(model=model, labels=part)
            accepted += self._call(lambda r=request: self._feedback.SubmitFeedback(r, timeout=self._timeout)).accepted  # type: ignore[misc]
        return accepted

    def model_info(self, model: str, *, version: str = "") -> prediction_pb2.GetModelInfoResponse:
        """Return what the version in production is, or a named one: contract, lineage, metrics, release, signature."""
        request = prediction_pb2.GetModelInfoRequest(model=model, version=version)
        info: prediction_pb2.GetModelInfoResponse
        info = self._call(lambda: self._stubs[0].GetModelInfo(request, timeout=self._timeout))
        return info

    def prediction(self, model: str, prediction_id: str) -> feedback_pb2.GetPredictionResponse:
        """Return what was answered under an id.

        Raises:
            PredictionNotFoundError: It is unknown or not shipped yet.
        """
        request = feedback_pb2.GetPredictionRequest(model=model, prediction_id=prediction_id)
        found: feedback_pb2.GetPredictionResponse
        found = self._call(lambda: self._feedback.GetPrediction(request, timeout=self._timeout))
        return found

    def trigger_retraining(self, model: str, *, reason: str = "", actor: str = "") -> Retraining:
        """Start a retraining, or learn which one runs."""
        request = control_pb2.TriggerRetrainingRequest(model=model, reason=reason, actor=actor)
        timeout = max(self._timeout, 30.0)
        answer = self._call(lambda: self._control.TriggerRetraining(request, timeout=timeout), retry=False)
        return Retraining(answer.dagster_run_id, answer.already_running)

    def health(self, model: str = "") -> bool:
        """Return whether the server answers, for one model or for any."""
        try:
            answer = self._health.Check(health_pb2.HealthCheckRequest(service=model), timeout=self._timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_until_healthy(self, model: str = "", *, seconds: float = 30.0) -> bool:
        """Wait for `health`; returns whether it came in time."""
        deadline = time.monotonic() + seconds
        while not self.health(model):
            if time.monotonic() > deadline:
                return False
            time.sleep(_FIRST_PAUSE_SECONDS)
        return True

    def close(self) -> None:
        """Close the connections."""
        # Each on a thread that may be left behind: gRPC waits for ever for a call that Ctrl-C has interrupted.
        closing = [threading.Thread(target=channel.close, daemon=True) for channel in self._channels]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + _CLOSING_SECONDS
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict(self, request: prediction_pb2.PredictRequest) -> Prediction:
        stub = self._stub()
        return prediction_of(self._call(lambda: stub.Predict(request, timeout=self._timeout)))

    def _request_of(
        self,
        model: str,
        row: Mapping[str, Value],
        entity_key: str,
        event_time: datetime | None,
        request_id: str,
        version: str = "",
    ) -> prediction_pb2.PredictRequest:
        numbers, texts = maps_of(row, lambda name: self._kind(model, version, name))
        request = prediction_pb2.PredictRequest(
            model=model,
            numbers=numbers,
            texts=texts,
            entity_key=entity_key,
            request_id=request_id or uuid.uuid4().hex,
            version=version,
        )
        if event_time is not None:
            request.event_time.FromMicroseconds(microseconds_of(event_time))
        return request

    def _stub(self) -> PredictionServiceStub:
        self._turn += 1
        return self._stubs[self._turn % len(self._stubs)]

    def _kind(self, model: str, version: str, name: str) -> str:
        if (model, version) not in self._kinds:
            features = self.model_info(model, version=version).features
            self._kinds[model, version] = {feature.name: feature.kind for feature in features}
        return self._kinds[model, version].get(name, "number")

    def _call(self, call: Callable[[], T], *, retry: bool = True) -> T:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                wait = seconds_to_retry(error) if retry else None
                if wait is None or time.monotonic() + max(wait, pause) >= deadline:
                    raise error_of(error) from None
            time.sleep(max(wait, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
