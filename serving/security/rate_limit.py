"""Limits how often one identity may call."""

import threading
import time

from serving.errors import OverloadError

_BURST_SECONDS = 1.0
_MAXIMUM_NAMES = 10_000


class RateLimit:
    """A token bucket for each identity, kept as the one number that says when it would be full again.

    Source:
        The generic cell rate algorithm (ITU-T I.371), a leaky bucket as a meter.
    """

    def __init__(self, calls_per_second: float) -> None:
        """Allow every identity this rate, and the calls of one second (at least one) at once."""
        self._interval = 1 / calls_per_second
        self._tolerance = max(_BURST_SECONDS, self._interval)
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one call out of an identity's bucket.

        Raises:
            OverloadError: It is empty; says when there will be one again.
        """
        now = time.monotonic()
        with self._lock:
            full_at = self._full_at.get(name, 0.0)
            full_at = max(full_at, now)
            wait = full_at + self._interval - now - self._tolerance
            if wait <= 0:
                if len(self._full_at) >= _MAXIMUM_NAMES:
                    self._forget_full(now)
                self._full_at[name] = full_at + self._interval
                return
        raise OverloadError(f"{name} has had its share of calls for now", retry_after_seconds=wait)

    def wait(self, name: str, *, at_most_seconds: float) -> None:
        """Take one call out of an identity's bucket as soon as there is one.

        Raises:
            OverloadError: There will not be one in time.
        """
        while True:
            try:
                return self.take(name)
            except OverloadError as error:
                if error.retry_after_seconds > at_most_seconds:
                    raise
                time.sleep(error.retry_after_seconds)

    def _forget_full(self, now: float) -> None:
        self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
