"""Ends calls whose message does not arrive: a thread waits for each, and a slow sender must not keep it."""

import time
from collections.abc import Iterator

import grpc


class Arrivals:
    """Waits for messages on behalf of calls, with patience of so many seconds for each."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[grpc.ServicerContext, float] = {}

    def next(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Return the next message of a call, or None at the end.

        Raises:
            grpc.RpcError: The call was canceled, by its client or by `tick`.
        """
        self._waiting[context] = time.monotonic()
        try:
            return next(messages, None)
        finally:
            del self._waiting[context]

    def hurry(self, seconds: float) -> None:
        """Have no more patience than this from now on."""
        self._seconds = min(self._seconds, seconds)

    def tick(self) -> None:
        """Cancel the calls that have waited for too long."""
        earliest = time.monotonic() - self._seconds
        for context, since in self._waiting.copy().items():
            if since < earliest:
                context.cancel()
