"""Replays history as an ordinary client: a row is scored when it happens, its label is sent when it becomes known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import grpc

from mlops_assets.errors import InsufficientDataError
from mlops_assets.spec import ModelSpec
from serving.client import Client, Label
from serving.errors import ServingError

if TYPE_CHECKING:
    import pandas as pd

SLICE = timedelta(hours=1)
IN_FLIGHT = 32
LABELS_PER_CALL = 1000
FAILURE = (grpc.RpcError, ServingError)


@dataclass
class Tally:
    """What the replay has sent and what came back."""

    calls: int = 0
    failed_calls: int = 0
    acknowledged: int = 0
    errors: list[str] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Count a failed call and keep the first few messages."""
        self.failed_calls += 1
        if len(self.errors) < 5:
            self.errors.append(str(error)[:300])


class Replay:
    """Plays a model's traffic up to a moment of event time, in event-time order."""

    def __init__(
        self, client: Client, spec: ModelSpec, traffic: "pd.DataFrame", known: "dict[tuple[str, datetime], str]"
    ) -> None:
        """Args are the traffic (see `ModelSpec.traffic`) and the prediction ids of rows that an earlier replay sent.

        Raises:
            InsufficientDataError: There is no traffic.
        """
        if traffic.empty:
            raise InsufficientDataError(f"{spec.name}: there is no traffic to replay")
        self.tally = Tally()
        self._client, self._spec = client, spec
        ordered = traffic.sort_values("event_time", kind="stable", ignore_index=True)
        self._times: list[datetime] = [time.to_pydatetime() for time in ordered["event_time"]]
        self._keys: list[str] = ordered["entity_key"].tolist()
        self._rows = _rows(spec, ordered)
        self._ids: list[str | None] = [known.get(key) for key in zip(self._keys, self._times, strict=True)]
        self._next = 0
        observed = ordered[ordered["observed_at"].notna()].sort_values("observed_at", kind="stable")
        self._labels: list[tuple[datetime, int, str]] = [
            (time.to_pydatetime(), int(place), str(label))
            for time, place, label in zip(
                observed["observed_at"], observed.index, observed[spec.label.name], strict=True
            )
        ]
        self._next_label = 0
        self._last_label: tuple[int, str] | None = None

    def play_until(self, end: datetime, *, predictions_before: datetime, on_slice: Callable[[int], None]) -> None:
        """Send what happens until `end`; rows at or after `predictions_before` are not sent any more."""
        while self._pending_before(min(end, predictions_before)) or self._labels_pending(end):
            moment = min(self._moment(predictions_before) + SLICE, end)
            sent = self._send_predictions(min(moment, predictions_before))
            self._send_labels(moment)
            on_slice(sent)

    def send_one(self) -> str | None:
        """Send the next row and return the version that answered, None if there is no row or the call failed."""
        if self._next >= len(self._times):
            return None
        place, self._next = self._next, self._next + 1
        answer = self._collect(place, self._call(place))
        return None if answer is None else str(answer.model_version)

    def confirm_labels(self, time: datetime) -> None:
        """Repeat the newest label as observed at `time`: the feed says that it is complete until then."""
        if self._last_label is not None:
            place, label = self._last_label
            self._feedback([self._label(place, label, time)])

    def _moment(self, predictions_before: datetime) -> datetime:
        """Return when the next prediction or label is due; play_until knows that there is one."""
        upcoming = [self._times[self._next]] if self._pending_before(predictions_before) else []
        if self._next_label < len(self._labels):
            upcoming.append(self._labels[self._next_label][0])
        return min(upcoming)

    def _pending_before(self, end: datetime) -> bool:
        return self._next < len(self._times) and self._times[self._next] < end

    def _labels_pending(self, end: datetime) -> bool:
        return self._next_label < len(self._labels) and self._labels[self._next_label][0] < end

    def _send_predictions(self, end: datetime) -> int:
        first = self._next
        while self._pending_before(end):
            self._next += 1
        places = iter([place for place in range(first, self._next) if self._ids[place] is None])
        while batch := list(islice(places, IN_FLIGHT)):
            calls = [(place, self._call(place)) for place in batch]
            for place, call in calls:
                self._collect(place, call)
        return self._next - first

    def _call(self, place: int) -> Any:
        self.tally.calls += 1
        time, key = self._times[place], self._keys[place]
        return self._client.predict_future(
            self._spec.name,
            self._rows[place],
            entity_key=key,
            event_time=time,
            request_id=f"{key}@{time.isoformat()}",
        )

    def _collect(self, place: int, call: Any) -> Any:
        try:
            answer = call.result()
        except FAILURE as error:
            self.tally.fail(error)
            return None
        self.tally.acknowledged += 1
        self._ids[place] = answer.prediction_id
        return answer

    def _send_labels(self, end: datetime) -> None:
        due = []
        while self._labels_pending(end):
            time, place, label = self._labels[self._next_label]
            self._next_label += 1
            if place < self._next and self._ids[place] is not None:
                due.append(self._label(place, label, time))
                self._last_label = (place, label)
        for first in range(0, len(due), LABELS_PER_CALL):
            self._feedback(due[first : first + LABELS_PER_CALL])

    def _label(self, place: int, label: str, time: datetime) -> Label:
        return Label(prediction_id=str(self._ids[place]), label=label, observed_at=time, source="replay")

    def _feedback(self, labels: list[Label]) -> None:
        self.tally.calls += 1
        try:
            self._client.feedback(self._spec.name, labels)
        except FAILURE as error:
            self.tally.fail(error)


def _rows(spec: ModelSpec, frame: "pd.DataFrame") -> list[dict[str, float | str | None]]:
    """Return each row's features as plain values, None where missing."""
    features = frame[spec.feature_names].astype(object)
    records: list[dict[str, Any]] = features.where(features.notna(), None).to_dict("records")  # type: ignore[assignment]
    return records
