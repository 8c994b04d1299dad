"""gRPC's core, driven by one thread: it lets calls in, gives them what arrives, and does what is short itself.

grpcio's own server spends about 75 µs of CPU on condition variables, futures and hand-overs that an answered call of
this one does without (docs/adr/0009-the-worker-polls-grpcs-core-itself.md). Both use the same operations of the same
module of grpcio, which has no public name: its release is pinned.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # it has no types

from serving.api.call import Call

_EXPECTED_CALLS = 64
"""Calls that the core hands over without a wait for this thread."""

_MOST_EVENTS = 64
"""Events after which work is done that is due, even if more wait."""

_LAST_SECONDS = 1.0
"""For calls to end that were canceled at the end of the grace period."""

_AT_ONCE = 0
_NOTHING_WAITS = cygrpc.CompletionType.queue_timeout
_SHUT_DOWN = cygrpc.CompletionType.queue_shutdown

_log = logging.getLogger(__name__)


class Transport:
    """Brings calls from a port, from `start` to `stop`."""

    def __init__(self, options: Iterable[tuple[str, int]]) -> None:
        """Prepare it, with channel arguments of the core."""
        self._arrived: Callable[[Call], None]
        self._core = cygrpc.Server(tuple(options), False)
        self._queue = cygrpc.CompletionQueue()
        self._core.register_completion_queue(self._queue)
        self._thread = threading.Thread(target=self._serve, name="transport", daemon=True)
        self._due: list[Callable[[], None]] = []
        self._guard = threading.Lock()
        self._stopping = False
        self._calls_over = threading.Event()
        self._patience: float | None = None
        self._grace: threading.Timer | None = None

    def open(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """Listen; returns the port.

        Raises:
            RuntimeError: It can not be bound.
        """
        # The core's own form of the credentials is behind no public name either.
        secret = () if credentials is None else (credentials._credentials,)  # type: ignore[attr-defined]
        port: int = self._core.add_http2_port(address.encode(), *secret)
        if not port:
            raise RuntimeError(f"can not listen on {address}")
        return port

    def start(self, arrived: Callable[[Call], None]) -> None:
        """Take calls.

        Args:
            arrived: Gets every call, on the serving thread, which it must not keep waiting.
        """
        self._arrived = arrived
        self._core.start()
        for _ in range(_EXPECTED_CALLS):
            self._core.request_call(self._queue, self._queue, self._expected)
        self._thread.start()

    def soon(self, work: Callable[[], None]) -> None:
        """Have the serving thread do this once it has taken in what waits; for the serving thread to ask."""
        self._due.append(work)

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls; those that were taken have so long to end."""
        with self._guard:
            if self._stopping:
                return
            self._stopping = True
            self._patience = grace_seconds + _LAST_SECONDS
            self._core.shutdown(self._queue, lambda _event: self._calls_over.set())
        self._grace = threading.Timer(grace_seconds, self._core.cancel_all_calls)
        self._grace.daemon = True
        self._grace.start()

    def wait(self) -> bool:
        """Return whether all calls have ended, when they have or the serving thread does not come back from one."""
        is_over = self._calls_over.wait(self._patience)
        if self._grace is not None:
            self._grace.cancel()
            self._grace.join()
        return is_over

    def close(self) -> None:
        """Free what the core holds; for when no thread answers a call any more."""
        self._queue.shutdown()
        self._thread.join()
        self._core.destroy()

    def _serve(self) -> None:
        while True:
            for _ in range(_MOST_EVENTS):
                event = self._queue.poll(_AT_ONCE if self._due else None)
                if event.completion_type == _SHUT_DOWN:
                    return
                if event.completion_type == _NOTHING_WAITS:
                    break
                _do(partial(event.tag, event))
                del event  # it holds its call, which ends for the core when nobody does
            due, self._due = self._due, []
            for work in due:
                _do(work)

    def _expected(self, event: object) -> None:
        with self._guard:
            if not self._stopping:
                self._core.request_call(self._queue, self._queue, self._expected)
        if not event.success:  # type: ignore[attr-defined]  # there is none: the server stops
            return
        call = Call(event)
        try:
            self._arrived(call)
        except BaseException:
            call.cancel()  # its client would wait forever
            raise


def _do(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # libraries in Rust panic with one; all calls depend on this thread
        _log.exception("a call failed in the transport")
