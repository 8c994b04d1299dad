"""One call as the core of gRPC gives it, and as servicers see it: their context."""

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # it has no types

from serving.api.grpc_status import OK, CallStatus
from serving.security.identity import UNKNOWN, Identity

Metadata = Sequence[tuple[str, str | bytes]]

_NO_FLAGS = 0


class CallCanceledError(Exception):
    """Nobody waits for the call any more: its client gave it up, its deadline passed or the server ended it."""


class Call:
    """From its arrival to its status; as much of `grpc.ServicerContext` as servicers ask for.

    The serving thread makes it and gives it what happens; one thread, it or one of a pool, answers it.

    Attributes:
        arrived_at: When its last message was there, by `time.perf_counter`.
        method: `/package.Service/Method`.
        metadata: What the client sent before its messages.
        caller: Whom the gate has let in.
        canceled: Nobody waits for the answer.
        running: A thread works on it.
    """

    __slots__ = (
        "_callbacks",
        "_core",
        "_deadline",
        "_on_cancel",
        "_on_message",
        "_opened",
        "_started",
        "_status",
        "arrived_at",
        "caller",
        "canceled",
        "metadata",
        "method",
        "running",
    )

    def __init__(self, event: Any) -> None:
        self._core = event.call
        self._deadline: float = event.call_details.deadline
        self.method: str = event.call_details.method.decode(errors="replace")
        self.metadata: Metadata = event.invocation_metadata
        self.caller: Identity = UNKNOWN
        self.arrived_at = 0.0
        self.canceled = self.running = self._opened = self._started = False
        self._callbacks: list[Callable[[], object]] = []
        self._status = OK

    def open(self, on_cancel: Callable[["Call"], object]) -> None:
        """Have the client's end of the call watched; for calls that are let in."""
        self._opened = True
        self._on_cancel = on_cancel
        self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._closed)

    def on_message(self, arrived: Callable[["Call", bytes | None], object]) -> None:
        """Have the serving thread call back with the next message, or None if none comes any more."""
        self._on_message = arrived
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), self._arrived)

    def receive(self) -> bytes | None:
        """Wait for the next message; None: there are no more.

        Raises:
            CallCanceledError: And none is expected.
        """
        message = _message_in(self._outcome_of((cygrpc.ReceiveMessageOperation(_NO_FLAGS),)))
        self.arrived_at = time.perf_counter()
        if message is None and self.canceled:
            raise CallCanceledError
        return message

    def send(self, message: bytes) -> None:
        """Send one message of a stream and wait until it has left.

        Raises:
            CallCanceledError: There is nobody to send to.
        """
        if not self._outcome_of((*self._head(), cygrpc.SendMessageOperation(message, _NO_FLAGS))).success:
            raise CallCanceledError

    def answer(self, message: bytes) -> None:
        """Send the only message, and the end."""
        self._finish((*self._head(), cygrpc.SendMessageOperation(message, _NO_FLAGS), _tail(self._status)))

    def end(self, status: CallStatus | None = None) -> None:
        """Send the end."""
        watched = () if self._opened else (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),)
        self._finish((*self._head(), *watched, _tail(status or self._status)))

    def cancel(self) -> None:
        """End it without a status of our own; the client sees CANCELLED."""
        self._core.cancel()

    def time_remaining(self) -> float:
        """Return the seconds until the deadline, at least 0; very many without one."""
        return max(0.0, self._deadline - time.time())

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Have this called when the call is over; False: it is over already, and this may never be called."""
        self._callbacks.append(callback)
        return not self.canceled

    def set_code(self, code: grpc.StatusCode) -> None:
        """Let the call end with another status than OK."""
        self._status = CallStatus(code)

    def peer(self) -> str:
        """Return the client's address."""
        peer: bytes = self._core.peer()
        return peer.decode(errors="replace")

    def _closed(self, event: Any) -> None:
        self.canceled = event.batch_operations[0].cancelled()
        if self.canceled:
            self._on_cancel(self)
        for callback in self._callbacks:
            callback()

    def _arrived(self, event: Any) -> None:
        self.arrived_at = time.perf_counter()
        self._on_message(self, _message_in(event))

    def _outcome_of(self, operations: tuple[Any, ...]) -> Any:
        outcome: SimpleQueue[Any] = SimpleQueue()
        if self._core.start_server_batch(operations, outcome.put):
            raise CallCanceledError
        return outcome.get()

    def _finish(self, operations: tuple[Any, ...]) -> None:
        if self._core.start_server_batch(operations, _nothing):  # the core takes none of it
            self._core.cancel()

    def _head(self) -> tuple[Any, ...]:
        if self._started:
            return ()
        self._started = True
        return (cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),)


def _tail(status: CallStatus) -> Any:
    return cygrpc.SendStatusFromServerOperation(
        status.trailers, status.code.value[0], status.details.encode(errors="replace"), _NO_FLAGS
    )


def _message_in(event: Any) -> bytes | None:
    message: bytes | None = event.batch_operations[0].message()
    return message


def _nothing(_event: object) -> None:
    """What is to be done when an end has been sent."""
