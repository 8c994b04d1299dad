"""Ends calls whose message does not arrive: each holds a place, and a slow sender must not keep it."""

import time

from serving.api.call import Call


class Arrivals:
    """Knows the calls that wait for a message, and has patience of so many seconds with each."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Call, float] = {}

    def expect(self, call: Call) -> None:
        """Begin to wait for a message of a call."""
        self._waiting[call] = time.monotonic()

    def came(self, call: Call) -> None:
        """End it: there is a message, or there will be none."""
        self._waiting.pop(call, None)

    def hurry(self, seconds: float) -> None:
        """Have no more patience than this from now on."""
        self._seconds = min(self._seconds, seconds)

    def tick(self) -> None:
        """Cancel the calls that have waited for too long."""
        earliest = time.monotonic() - self._seconds
        for call, since in self._waiting.copy().items():
            if since < earliest:
                call.cancel()
