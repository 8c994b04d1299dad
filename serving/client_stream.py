"""The client's side of a stream: rows go out as the transport takes them, answers come back in their order."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from protos.mlops.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from serving.client_errors import error_of, seconds_to_retry
from serving.errors import CallError

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


def stream_answers(
    open_call: Callable[[Iterator[PredictRequest]], Any], requests: Iterator[PredictRequest], *, retry_seconds: float
) -> Iterator[PredictStreamResponse]:
    """Give one answer for each request.

    A call that a server ends early is followed by another, which begins with what was not answered: the request ids
    make that safe.

    Args:
        open_call: Starts a call that sends what it is given.
        requests: Read on a thread of gRPC's; what they raise is raised here.
        retry_seconds: How long a server that is away or busy is asked again before its next answer.

    Raises:
        ServingError: The server could not be reached, or refused more than a row.
    """
    outbox = _Outbox(requests)
    pause, give_up_at = _FIRST_PAUSE_SECONDS, None
    while True:
        call = open_call(outbox.for_a_new_call())
        try:
            for answer in call:
                outbox.settle()
                yield answer
                pause, give_up_at = _FIRST_PAUSE_SECONDS, None
            outbox.check_end()
            return
        except grpc.RpcError as error:
            outbox.check_source()
            wait, now = seconds_to_retry(error), time.monotonic()
            give_up_at = give_up_at or now + retry_seconds
            if wait is None or now + max(wait, pause) >= give_up_at:
                raise error_of(error) from None
        finally:
            outbox.close()
            call.cancel()
        time.sleep(max(wait, pause))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class _Outbox:
    """What was read from the source and is not answered; each call sends all of it, then reads on."""

    def __init__(self, source: Iterator[PredictRequest]) -> None:
        self._source = source
        self._unanswered: deque[PredictRequest] = deque()
        self._call = self._n_sent = 0
        self._state = threading.Lock()
        self._reading = threading.Lock()
        self._exhausted = False
        self._failure: BaseException | None = None

    def for_a_new_call(self) -> Iterator[PredictRequest]:
        with self._state:
            self._call, self._n_sent = self._call + 1, 0
            return self._requests(self._call)

    def close(self) -> None:
        with self._state:
            self._call += 1

    def settle(self) -> None:
        """The oldest request is answered."""
        with self._state:
            self._unanswered.popleft()
            self._n_sent -= 1

    def check_source(self) -> None:
        if self._failure is not None:
            raise self._failure

    def check_end(self) -> None:
        self.check_source()
        if self._unanswered or not self._exhausted:
            raise CallError("the server ended the stream before its last answer")

    def _requests(self, call: int) -> Iterator[PredictRequest]:
        while True:
            request = self._next_of(call)
            if request is not None:
                yield request
            elif not self._read_on(call):
                return

    def _next_of(self, call: int) -> PredictRequest | None:
        with self._state:
            if call != self._call or self._n_sent == len(self._unanswered):
                return None
            self._n_sent += 1
            return self._unanswered[self._n_sent - 1]

    def _read_on(self, call: int) -> bool:
        """Read one more request, whichever call will send it; returns whether this one goes on."""
        with self._reading:  # a thread of an earlier call may still wait for the source
            if call != self._call or self._n_sent < len(self._unanswered):
                return call == self._call
            if self._exhausted:
                return False
            try:
                request = next(self._source)
            except StopIteration:
                self._exhausted = True
                return False
            except BaseException as error:  # it belongs to the thread that reads the answers
                self._failure, self._exhausted = error, True
                return False
            with self._state:
                self._unanswered.append(request)
            return True
